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

// Sure is a scene without the boxes below a score, and the answers without theirs.
func (s Scene) Sure(least float32, ids [][]uint64) (Scene, [][]uint64) {
	sure := Scene{Name: s.Name, FPS: s.FPS, Frames: make([]Frame, len(s.Frames))}
	left := make([][]uint64, len(s.Frames))
	for i, frame := range s.Frames {
		sure.Frames[i].AtNs = frame.AtNs
		for k, seen := range frame.Boxes {
			if seen.Box.Score >= least {
				sure.Frames[i].Boxes = append(sure.Frames[i].Boxes, seen)
				left[i] = append(left[i], ids[i][k])
			}
		}
	}
	return sure, left
}

// Gain compares, by what is told, trackers that see all boxes from a score on with ones that see only the sure ones.
func Gain(scenes []Scene, least, told float32, made func(track.Settings) *track.Tracker) (with, without Score, err error) {
	total := func(heard float32) (sum Score, err error) {
		for _, s := range scenes {
			shown, _ := s.Sure(heard, s.blank())
			judged, ids := shown.Sure(told, shown.Play(made(track.Defaults())))
			score, err := judged.Judge(ids)
			if err != nil {
				return Score{}, err
			}
			sum = sum.Plus(score)
		}
		return sum, nil
	}
	if with, err = total(least); err == nil {
		without, err = total(told)
	}
	return with, without, err
}

// blank are answers without a number.
func (s Scene) blank() [][]uint64 {
	ids := make([][]uint64, len(s.Frames))
	for i, frame := range s.Frames {
		ids[i] = make([]uint64, len(frame.Boxes))
	}
	return ids
}
