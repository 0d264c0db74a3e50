// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"testing"
	"time"

	"visavis/capture/internal/ring"
)

// A slot may be held by a late worker while its picture has been answered by another, and its place is free.
func TestTwiceWhatWorkersMayHoldFindsASlot(t *testing.T) {
	for _, workers := range []int{0, 1, 4, 16, 64} {
		l := &lane{credit: 16, pace: &pace{}}
		l.queue = newFairQueue(0, 1, l.pace.room)
		l.follow(workers)
		held := l.queue.places - placesBeside
		if held < 16 || held > max(workers, 1)*16 || 2*held+placesBeside > ring.MaxSlots {
			t.Errorf("%d workers: %d places and %d beside", workers, held, placesBeside)
		}
	}
}

func TestAPictureInItsOwnSizeHasTheTimeOfAsManyFramesAsItCounts(t *testing.T) {
	l := openLender(t)
	l.settings.FullSide = 64
	full, err := l.fullLane()
	if err != nil {
		t.Fatal(err)
	}
	full.learn(time.Second)
	if p := full.pace; p.configured != 4*time.Hour || p.serviceNs != 4e9 {
		t.Errorf("it has %v, and %v are expected; want four times an hour and a second", p.configured, time.Duration(p.serviceNs))
	}
}

func TestOfTwoLimitsTheShorterHolds(t *testing.T) {
	for _, c := range []struct{ own, limit, want time.Duration }{{0, 5, 5}, {3, 5, 3}, {5, 3, 3}} {
		r := request{timeout: c.own}
		if r.within(c.limit); r.timeout != c.want {
			t.Errorf("of %d and %d it is %d, want %d", c.own, c.limit, r.timeout, c.want)
		}
	}
}

// It is let go after the camera is taken for lost, and before another one would be refused for long.
func TestAFeederMayBeSilentForTwiceTheStallAndSomeSecondsAtLeast(t *testing.T) {
	for stall, want := range map[time.Duration]time.Duration{
		0: leastSilence, leastSilence / 2: leastSilence, leastSilence: 2 * leastSilence, time.Minute: 2 * time.Minute,
	} {
		f := &Feed{settings: FeedSettings{Stall: stall}}
		if got := f.silence(); got != want {
			t.Errorf("with a stall of %v it is %v, want %v", stall, got, want)
		}
	}
}
