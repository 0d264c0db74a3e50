// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"testing"

	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

// Whoever comes first when the daemon goes on, here it is the timer.
func TestADaemonThatStoodStillTakesWhatWasAnsweredMeanwhile(t *testing.T) {
	h := newHouse(t, Options{})
	s, p := h.stream("door"), h.worker(1)
	publish(s)
	m, _ := p.frame()
	h.timerComes(standstillNs + 1)
	if c := h.counters("door"); c.Expired != 0 || c.InFlight != 1 {
		t.Fatalf("a worker whose answer waits in its socket is cut off: %+v", c)
	}
	p.answer(ring.Result{LeaseID: m.LeaseID})
	waiting.Until(t, "the frame is inferred", func() bool { return h.counters("door").Inferred == 1 })
	publish(s)
	if _, ok := p.frame(); !ok {
		t.Fatal("the worker has lost its connection")
	}
	h.timerComes(-1)
	if c := h.counters("door"); c.Expired != 0 {
		t.Fatalf("a lease ends before its time: %+v", c)
	}
	h.timerComes(0)
	if c := h.counters("door"); c.Expired != 1 {
		t.Errorf("a worker that says nothing is not found out: %+v", c)
	}
}

// timerComes is the timer that comes so much later than it was set to.
func (h *house) timerComes(lateNs int64) {
	h.Dispatcher.mu.Lock()
	defer h.Dispatcher.mu.Unlock()
	h.expireAt(h.timerNs + lateNs)
}
