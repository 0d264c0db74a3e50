// SPDX-License-Identifier: Apache-2.0

package track_test

import (
	"slices"
	"testing"

	"visavis/capture/internal/track"
	"visavis/capture/internal/track/scene"
)

func total(t *testing.T, made func(track.Settings) *track.Tracker) scene.Score {
	t.Helper()
	slow := slices.DeleteFunc(scene.All(scene.Seed), func(s scene.Scene) bool { return s.FPS > 15 }) // where mistakes are made
	scores, err := scene.Scores(scene.Play(slow, made))
	if err != nil {
		t.Fatal(err)
	}
	return scores["all"]
}

// The simpler assignment stays only as long as it costs nothing.
func TestBestFirstMistakesNoMoreFacesThanTheBestSum(t *testing.T) {
	ours, best := total(t, track.New), total(t, track.NewHungarian)
	t.Logf("best first %+v, best sum %+v", ours, best)
	if 100*ours.Switches > 102*best.Switches || 100*ours.Fragments > 102*best.Fragments {
		t.Errorf("best first: %+v; best sum: %+v", ours, best)
	}
}
