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
	h.workers[0].restsUntilNs, h.workers[0].forCamerasNs = now()+int64(time.Hour), now()+int64(time.Hour)
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

func TestWhatAWorkerRestsForSeveralFramesAddsUpAndAVisitorDoesNot(t *testing.T) {
	const service, at = 100, int64(1000)
	d := New(Options{})
	d.SetShare(0.25) // three times as long as it works
	w, visitor := &worker{serviceNs: service}, &worker{serviceNs: service, flags: ring.HelloFlagVisitor}
	for range 2 {
		d.sendToRest(w, 2, at)
		d.sendToRest(visitor, 2, at)
	}
	if want := at + 2*3*2*service; w.restsUntilNs != want || visitor.restsUntilNs != 0 {
		t.Errorf("it rests until %d, want %d; a visitor until %d, want 0", w.restsUntilNs, want, visitor.restsUntilNs)
	}
}

// It came for another worker, or for nothing.
func TestTheTimerThatComesBeforeAWorkerHasRestedIsSetForThatAgain(t *testing.T) {
	h := newHouse(t, Options{})
	s := h.stream("door")
	h.worker(1)
	h.SetShare(0.5)
	h.Dispatcher.mu.Lock()
	rested := now() + int64(time.Hour)
	h.workers[0].restsUntilNs, h.workers[0].forCamerasNs = rested, rested
	h.Dispatcher.mu.Unlock()
	publish(s)
	h.comesAt(now())
	h.Dispatcher.mu.Lock()
	defer h.Dispatcher.mu.Unlock()
	if h.timerNs != rested {
		t.Errorf("it is set to %d, want %d", h.timerNs, rested)
	}
}

// One that is as much work as a dozen frames.
func TestCamerasDoNotWaitForAllOfTheRestOfALargePicture(t *testing.T) {
	const service, weight = int64(100), 12
	d := New(Options{})
	d.SetShare(0.25) // three times as long as it works
	w, at := &worker{serviceNs: float64(service), credit: 1}, int64(1_000_000)
	begun := at
	d.sendToRest(w, weight, at)
	mayHave := func(guest bool) bool {
		return d.mayTake(w, &Slot{stream: &Stream{spec: StreamSpec{Guest: guest}}}, at)
	}
	if at += 2 * 3 * service; !mayHave(false) || mayHave(true) {
		t.Fatal("after twice the rest of a frame a camera waits, or a client does not")
	}
	worked := int64(weight) * service                            // before begun
	for frames := 0; w.forCamerasNs < w.restsUntilNs; frames++ { // the last one rests no longer than it would alone
		if frames == 100 {
			t.Fatal("it is never made up for")
		}
		at = w.forCamerasNs + service
		worked += service
		d.sendToRest(w, 1, at)
	}
	at = w.restsUntilNs
	if share := float64(worked) / float64(at-begun+weight*service); share < 0.2 || share > 0.3 {
		t.Errorf("it worked %.3f of the time, want about 0.25", share)
	}
	if !mayHave(true) {
		t.Error("a client waits when all is made up for")
	}
}
