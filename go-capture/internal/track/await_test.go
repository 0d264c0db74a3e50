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

// unsure is a box that begins no track.
func unsure(b Box) Box {
	b.Score = 0.3
	return b
}

// awaited passes in ticks of a tenth of a second, while a worker may have a frame for so long.
func (s *scene) awaited(d, most time.Duration) {
	for end := s.nowNs + d.Nanoseconds(); s.nowNs < end; {
		s.nowNs += (100 * time.Millisecond).Nanoseconds()
		s.tracker.Advance(s.tracker.Await(s.nowNs, most))
	}
}

func TestWhoIsFoundAfterAWorkerHasStalledGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		gap  time.Duration
		then [][]Box
		want string // the last frame's numbers, and how many are there
	}{
		"still there":                  {1600 * time.Millisecond, [][]Box{{left, right}}, "[1 2] 2"},
		"one has gone":                 {1600 * time.Millisecond, [][]Box{{left}}, "[1] 1"},
		"one is found too late":        {1600 * time.Millisecond, [][]Box{{left}, {left, right}}, "[1 0] 1"},
		"one may be either":            {1600 * time.Millisecond, [][]Box{{moved(left, -45), moved(left, 45), right}}, "[0 0 2] 1"},
		"one is unsure":                {1600 * time.Millisecond, [][]Box{{unsure(left), right}}, "[0 2] 1"},
		"one is, beside somebody else": {1600 * time.Millisecond, [][]Box{{left, moved(left, 200), right}}, "[1 0 2] 2"},
		"for longer than a lease":      {3200 * time.Millisecond, [][]Box{{left, right}}, "[0 0] 0"},
		"for a night":                  {8 * time.Hour, [][]Box{{left, right}}, "[0 0] 0"},
	} {
		s := newScene(frameNs)
		for range 30 {
			s.frame(left, right)
		}
		s.awaited(c.gap, 2*time.Second)
		var ids []uint64
		for _, boxes := range c.then {
			ids = s.frame(boxes...)
		}
		if got := fmt.Sprint(ids, s.tracker.Confirmed()); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Before a face is believed, one glimpse and, after a stall, somebody else in its place would be one.
func TestNobodyIsBelievedByGlimpsesBeforeAndAfterAStall(t *testing.T) {
	s := newScene(frameNs)
	s.frame(left)
	s.frame(left)
	s.awaited(1500*time.Millisecond, 2*time.Second)
	s.frame(left)
	s.expect(t, 0)
	s.frame(left)
	s.frame(left)
	s.expect(t, 1)
}

// The camera gives nothing for longer than a face may stay unseen, and a frame is awaited only before and after.
func TestAGapInWhichNoFrameWasAwaitedIsNoStall(t *testing.T) {
	s := newScene(frameNs)
	for range 30 {
		s.frame(left)
	}
	s.awaited(200*time.Millisecond, 2*time.Second)
	s.nowNs += (1100 * time.Millisecond).Nanoseconds()
	if ids := s.frame(left); ids[0] != 0 {
		t.Errorf("number %d", ids[0])
	}
}
