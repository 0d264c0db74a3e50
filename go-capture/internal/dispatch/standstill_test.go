// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"testing"
	"time"

	"visavis/capture/internal/ring"
)

// Whoever comes first when the daemon goes on, here it is the timer.
func TestADaemonThatStoodStillTakesWhatWasAnsweredMeanwhile(t *testing.T) {
	const leaseMs = 300 // longer than it takes to hold the daemon up
	h := newHouse(t, Options{LeaseMs: leaseMs})
	s, p := h.stream("door"), h.worker(1)
	publish(s)
	m, _ := p.frame()
	h.Dispatcher.mu.Lock() // so nothing moves
	time.Sleep(2 * leaseMs * time.Millisecond)
	p.answer(ring.Result{LeaseID: m.LeaseID})
	time.Sleep(2 * standstillNs)
	h.Dispatcher.mu.Unlock()
	until(t, "the frame ends", func() bool { return len(h.fates()) > 0 })
	if fates := h.fates(); fates[Inferred] != 1 {
		t.Errorf("it ends as %v", fates)
	}
	publish(s)
	if _, ok := p.frame(); !ok {
		t.Fatal("the worker has lost its connection")
	}
	until(t, "a worker that says nothing is still found out", func() bool { return h.counters("door").Expired == 1 })
}
