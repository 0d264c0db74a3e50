// SPDX-License-Identifier: Apache-2.0

package track

import (
	"fmt"
	"testing"
	"time"
)

// moved is a box somewhere else.
func moved(b Box, x float32) Box {
	b.X += x
	return b
}

// A worker held a frame for longer than a face may stay unseen, and gave it back; no silence was told of meanwhile.
func TestAfterAGapInWhichNobodyLookedWhoIsFoundGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		gap  time.Duration
		then [][]Box
		want string // the last frame's numbers, and how many are there
	}{
		"still there":                  {1600 * time.Millisecond, [][]Box{{left, right}}, "[1 2] 2"},
		"one has gone":                 {1600 * time.Millisecond, [][]Box{{left}}, "[1] 1"},
		"one is found too late":        {1600 * time.Millisecond, [][]Box{{left}, {left, right}}, "[1 0] 1"},
		"one may be either":            {1600 * time.Millisecond, [][]Box{{moved(left, -45), moved(left, 45), right}}, "[0 0 2] 1"},
		"one is, beside somebody else": {1600 * time.Millisecond, [][]Box{{left, moved(left, 200), right}}, "[1 0 2] 2"},
		"for longer than a lease":      {3100 * time.Millisecond, [][]Box{{left, right}}, "[0 0] 0"},
		"for a night":                  {8 * time.Hour, [][]Box{{left, right}}, "[0 0] 0"},
	} {
		s := newScene(frameNs)
		for range 30 {
			s.frame(left, right)
		}
		s.nowNs += c.gap.Nanoseconds() - frameNs
		var ids []uint64
		for _, boxes := range c.then {
			ids = s.frame(boxes...)
		}
		if got := fmt.Sprint(ids, s.tracker.Confirmed()); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Each gap is as long as most faces may stay unseen, but a face may miss three frames.
func TestWhereFramesAreRareAGapIsNone(t *testing.T) {
	settings := Defaults()
	settings.Interval = 5 * time.Second
	s := &scene{tracker: New(settings), nowNs: 1e12, stepNs: settings.Interval.Nanoseconds()}
	for range 5 {
		s.frame(left)
	}
	s.frame()
	s.frame()
	s.expect(t, 1)
	if ids := s.frame(left); ids[0] != 1 {
		t.Errorf("number %d", ids[0])
	}
	for range 4 {
		s.frame()
	}
	s.expect(t, 0)
}
