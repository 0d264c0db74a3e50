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
	if c := h.counters("door"); c.Abandoned != 0 || c.InFlight != 1 {
		t.Fatalf("a worker whose answer waits in its socket is cut off: %+v", c)
	}
	p.answer(ring.Result{LeaseID: m.LeaseID})
	waiting.Until(t, "the frame is inferred", func() bool { return h.counters("door").Inferred == 1 })
	publish(s)
	if _, ok := p.frame(); !ok {
		t.Fatal("the worker has lost its connection")
	}
	h.timerComes(-1)
	if c := h.counters("door"); c.Abandoned != 0 {
		t.Fatalf("a lease ends before its time: %+v", c)
	}
	h.timerComes(0)
	if c := h.counters("door"); c.Abandoned != 1 {
		t.Errorf("a worker that says nothing is not found out: %+v", c)
	}
}

// The whole machine stood still, and the worker needs its usual time for the frame that it has.
func TestAWorkerThatStoodStillTooMayFinishItsFrame(t *testing.T) {
	const service, stood, late = 300_000_000, 3_000_000_000, 400_000_000
	h := newHouse(t, Options{})
	s, p := h.stream("door"), h.worker(1)
	publish(s)
	m, _ := p.frame()
	wentOn := h.servedIn(service) + stood
	h.comesAt(wentOn)
	if h.comesAt(wentOn + late); h.counters("door").Abandoned != 0 {
		t.Fatal("it is cut off at its work")
	}
	p.answer(ring.Result{LeaseID: m.LeaseID})
	waiting.Until(t, "the frame is inferred", func() bool { return h.counters("door").Inferred == 1 })
}

func TestAWorkerThatHangsAfterAStandstillIsFoundOut(t *testing.T) {
	const day = 86_400_000_000_000 // that the machine once stood still, and that was taken for the worker's time
	for service, grace := range map[float64]int64{100_000_000: standstillNs, day: patientMs * 1_000_000} {
		h := newHouse(t, Options{})
		s, p := h.stream("door"), h.worker(1)
		publish(s)
		p.frame()
		wentOn := h.servedIn(service) + standstillNs + 1
		h.comesAt(wentOn)
		if h.comesAt(wentOn + grace); h.counters("door").Abandoned != 1 {
			t.Errorf("with %v s a frame it is not found out after %v s", service/1e9, float64(grace)/1e9)
		}
	}
}

// servedIn gives the one worker a measured time, and returns when the timer should come.
func (h *house) servedIn(serviceNs float64) (timerNs int64) {
	h.Dispatcher.mu.Lock()
	defer h.Dispatcher.mu.Unlock()
	h.workers[0].serviceNs = serviceNs
	return h.timerNs
}

// comesAt is the timer that comes then.
func (h *house) comesAt(ns int64) {
	h.Dispatcher.mu.Lock()
	defer h.Dispatcher.mu.Unlock()
	h.expireAt(ns)
}

// timerComes is the timer that comes so much later than it was set to.
func (h *house) timerComes(lateNs int64) {
	h.Dispatcher.mu.Lock()
	defer h.Dispatcher.mu.Unlock()
	h.expireAt(h.timerNs + lateNs)
}
