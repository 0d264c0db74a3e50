// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"slices"
	"testing"
	"time"

	"visavis/capture/internal/track"
)

// stall is for how long the only worker holds a frame, at the end of every six seconds.
const stall, stallEvery = 1600 * time.Millisecond, 6 * time.Second

func (s Scene) stalled(atNs int64) bool {
	return time.Duration(atNs-s.Frames[0].AtNs)%stallEvery >= stallEvery-stall
}

// looked leaves out what came while the worker stalled.
func (s Scene) looked() Scene {
	left := Scene{Name: s.Name, FPS: s.FPS}
	for _, f := range s.Frames {
		if !s.stalled(f.AtNs) {
			left.Frames = append(left.Frames, f)
		}
	}
	return left
}

// waiting plays what was looked at to a tracker that is told each time when a frame waits for the worker, if told.
func (s Scene) waiting(told bool) [][]uint64 {
	tracker := track.New(track.Defaults())
	var ids [][]uint64
	for _, f := range s.Frames {
		if s.stalled(f.AtNs) {
			if told {
				tracker.Advance(tracker.Await(f.AtNs, 2*time.Second))
			}
			continue
		}
		var boxes []track.Box
		for _, seen := range f.Boxes {
			boxes = append(boxes, seen.Box)
		}
		ids = append(ids, slices.Clone(tracker.Update(boxes, f.AtNs)))
	}
	return ids
}

func stalls(t *testing.T, told bool) map[string]Score {
	t.Helper()
	var scenes []Scene
	answers := map[string][][]uint64{}
	for _, s := range All(Seed) {
		scenes = append(scenes, s.looked())
		answers[s.Name] = s.waiting(told)
	}
	scores, err := Scores(scenes, answers)
	if err != nil {
		t.Fatal(err)
	}
	return scores
}

// The figures are those of docs/design/tracking.md, below "Times"; -v prints them.
func TestAfterAStallFewAreLostAndFewerMistaken(t *testing.T) {
	scores, lost := stalls(t, true), stalls(t, false)
	for _, kind := range []string{"all", "still-usual", "still-hard", "crossing-usual", "occlusion-usual", "return-usual", "crowd-usual"} {
		t.Logf("%s: %d switches and %d thefts, %d and %d where everybody is lost", kind,
			scores[kind].Switches, scores[kind].Thefts, lost[kind].Switches, lost[kind].Thefts)
	}
	if still := scores["still-usual"]; 4*still.Switches > lost["still-usual"].Switches || still.Thefts > 0 {
		t.Errorf("of those who sit still %d are lost and %d mistaken", still.Switches, still.Thefts)
	}
	if all := scores["all"]; 6*all.Switches > 5*lost["all"].Switches || 5*all.Thefts > 8*lost["all"].Thefts {
		t.Errorf("%d are lost and %d mistaken, %d and %d where everybody is lost", all.Switches, all.Thefts, lost["all"].Switches, lost["all"].Thefts)
	}
}
