// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"testing"

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
