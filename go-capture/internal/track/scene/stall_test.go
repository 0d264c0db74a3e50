// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"testing"
	"time"

	"visavis/capture/internal/track"
)

// stalled leaves out what came while the only worker stalled, at the end of every six seconds.
func (s Scene) stalled(by time.Duration) Scene {
	const every = 6 * time.Second
	left := Scene{Name: s.Name, FPS: s.FPS}
	for _, frame := range s.Frames {
		if time.Duration(frame.AtNs-s.Frames[0].AtNs)%every < every-by {
			left.Frames = append(left.Frames, frame)
		}
	}
	return left
}

// The figures are those of docs/design/tracking.md, below "Times".
func TestAfterAStallFewAreLostAndFewerMistaken(t *testing.T) {
	var scenes []Scene
	for _, s := range All(Seed) {
		scenes = append(scenes, s.stalled(1600*time.Millisecond))
	}
	scores, err := Scores(Play(scenes, track.New))
	if err != nil {
		t.Fatal(err)
	}
	lost, err := Scores(Play(scenes, func(s track.Settings) *track.Tracker {
		s.Held = 0
		return track.New(s)
	}))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"all", "still-usual", "still-hard", "crossing-usual", "occlusion-usual", "return-usual", "crowd-usual"} {
		t.Logf("%s: %d switches and %d thefts, %d and %d where everybody is lost", kind,
			scores[kind].Switches, scores[kind].Thefts, lost[kind].Switches, lost[kind].Thefts)
	}
	if still := scores["still-usual"]; 10*still.Switches > lost["still-usual"].Switches || still.Thefts > 0 {
		t.Errorf("of those who sit still %d are lost and %d mistaken", still.Switches, still.Thefts)
	}
	if all := scores["all"]; 5*all.Switches > 4*lost["all"].Switches || all.Thefts > 2*lost["all"].Thefts {
		t.Errorf("%d are lost and %d mistaken, %d and %d where everybody is lost", all.Switches, all.Thefts, lost["all"].Switches, lost["all"].Thefts)
	}
}
