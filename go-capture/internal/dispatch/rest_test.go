// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"testing"
	"time"

	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

// answered lends one frame, answers it and returns when that was done.
func answered(h *house, s *Stream, p *peer) (dispatchedNs, doneNs int64) {
	h.t.Helper()
	before := h.fates()[Inferred]
	publish(s)
	m, ok := p.frame()
	if !ok {
		h.t.Fatal("no frame")
	}
	p.answer(ring.Result{LeaseID: m.LeaseID})
	waiting.Until(h.t, "the outcome", func() bool { return h.fates()[Inferred] == before+1 })
	return m.DispatchedNs, h.outcomes[len(h.outcomes)-1].ResultNs
}

func TestAWorkerRestsAfterEachFrameAsLongAsItsShareSays(t *testing.T) {
	h := newHouse(t, Options{})
	s, p := h.stream("door"), h.worker(1)
	answered(h, s, p)
	h.SetShare(0.1)
	for range 5 {
		_, doneNs := answered(h, s, p)
		serviceMs := h.Snapshot().Workers[0].ServiceMs
		dispatchedNs, _ := answered(h, s, p)
		if least := int64(9 * serviceMs * 1e6); dispatchedNs-doneNs < least-1 {
			t.Fatalf("lent after a rest of %d ns, want %d", dispatchedNs-doneNs, least)
		}
	}
}

func TestFramesThatComeWhileAWorkerRestsGiveWayToTheNewest(t *testing.T) {
	h := newHouse(t, Options{})
	s, p := h.stream("door"), h.worker(1)
	h.SetShare(1e-9) // bounded by a hundredth
	answered(h, s, p)
	h.Dispatcher.mu.Lock()
	h.workers[0].restsUntilNs = now() + int64(time.Hour)
	h.Dispatcher.mu.Unlock()
	for range 10 {
		publish(s)
	}
	if c := h.counters("door"); c.Superseded != 9 || c.InFlight != 1 || c.Inferred != 1 {
		t.Fatalf("%+v, want 9 superseded and one that waits", c)
	}
	h.SetShare(1)
	if m, ok := p.frame(); !ok || m.FrameSeq != 11 {
		t.Fatalf("frame %d is lent when there is no need to rest any more, want the newest, 11", m.FrameSeq)
	}
}

func TestAClientsPictureWaitsForAWorkerThatRestsAndIsLentThen(t *testing.T) {
	h := newHouse(t, Options{})
	guests, err := h.AddStream(StreamSpec{Name: "guests", Width: 32, Height: 16, Guest: true, Depth: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guests.Retire)
	p := h.worker(1)
	answered(h, guests, p)
	h.SetShare(0.1)
	answered(h, guests, p)
	answered(h, guests, p) // the timer alone can have lent it: nothing else happened
}
