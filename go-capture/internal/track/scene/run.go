// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"slices"
	"strings"

	"visavis/capture/internal/track"
)

// Play shows a scene to our tracker and returns the number of each box.
func (s Scene) Play(t *track.Tracker) [][]uint64 {
	ids := make([][]uint64, len(s.Frames))
	var boxes []track.Box
	for i, frame := range s.Frames {
		boxes = boxes[:0]
		for _, seen := range frame.Boxes {
			boxes = append(boxes, seen.Box)
		}
		ids[i] = slices.Clone(t.Update(boxes, frame.AtNs))
	}
	return ids
}

// Play shows each scene to a new tracker. The answers are by the scene's name.
func Play(scenes []Scene, made func(track.Settings) *track.Tracker) (of []Scene, answers map[string][][]uint64) {
	answers = map[string][][]uint64{}
	for _, s := range scenes {
		answers[s.Name] = s.Play(made(track.Defaults()))
	}
	return scenes, answers
}

// Scores judges the answers to scenes and adds up the rates of each script and detector, and everything as "all".
func Scores(scenes []Scene, answers map[string][][]uint64) (map[string]Score, error) {
	scores := map[string]Score{}
	for _, s := range scenes {
		score, err := s.Judge(answers[s.Name])
		if err != nil {
			return nil, err
		}
		kind := s.Name[:strings.LastIndex(s.Name, "-")]
		scores[kind], scores["all"] = scores[kind].Plus(score), scores["all"].Plus(score)
	}
	return scores, nil
}
