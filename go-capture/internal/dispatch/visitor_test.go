// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"testing"

	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

// visitor connects one that looks at frames beside the workers.
func (h *house) visitor() *peer {
	h.t.Helper()
	p := h.dial()
	p.hello(visiting())
	if kind, _ := p.read(); kind != ring.TypeWelcome {
		h.t.Fatalf("a visitor was answered with message %d", kind)
	}
	return p
}

func visiting() ring.Hello {
	m := hello(1)
	m.Flags = ring.HelloFlagVisitor
	return m
}

func TestAVisitorJoinsBesideAllWorkersAndNoSecondOne(t *testing.T) {
	h := newHouse(t, Options{MaxWorkers: 1, Visitors: 1})
	h.worker(1)
	v := h.visitor()
	p := h.dial()
	p.hello(visiting())
	refused(t, p, ring.RefusalTooManyWorkers, "another visitor")
	p = h.dial()
	p.hello(hello(1))
	refused(t, p, ring.RefusalTooManyWorkers, "1 workers")
	v.close()
	waiting.Until(t, "the visitor has gone", func() bool { return len(h.Snapshot().Visitors) == 0 })
	h.visitor()
}

func TestAVisitorTakesNoPlaceOfAWorker(t *testing.T) {
	h := newHouse(t, Options{MaxWorkers: 1, Visitors: 1})
	h.visitor()
	h.worker(1)
	p := h.dial()
	p.hello(hello(1))
	refused(t, p, ring.RefusalTooManyWorkers, "1 workers")
}

func TestAVisitorMakesNoRingLarger(t *testing.T) {
	h := newHouse(t, Options{Workers: 1, Visitors: 1, Credit: 8})
	h.stream("door")
	h.worker(8)
	before := h.Snapshot().Streams[0].Slots
	h.visitor()
	if after := h.Snapshot().Streams[0].Slots; after != before {
		t.Errorf("%d slots with a visitor, %d without", after, before)
	}
}

func TestAVisitorGetsTheNextFrameWhenItAsksAndOnlyThen(t *testing.T) {
	h := newHouse(t, Options{MaxWorkers: 1, Visitors: 1})
	s := h.stream("door")
	w, v := h.worker(1), h.visitor()
	publish(s)
	if m, ok := v.frame(); !ok || m.FrameSeq != 1 {
		t.Fatalf("the visitor, which asked, got %+v", m)
	}
	publish(s)
	if m, ok := w.frame(); !ok || m.FrameSeq != 2 {
		t.Errorf("while the visitor looks, the worker got %+v", m)
	}
	v.credit(0)
	v.answer(ring.Result{LeaseID: 1})
	w.answer(ring.Result{LeaseID: 2})
	waiting.Until(t, "both are inferred", func() bool { return h.counters("door").Inferred == 2 })
	publish(s)
	if m, ok := w.frame(); !ok || m.FrameSeq != 3 {
		t.Errorf("while the visitor asks for nothing, the worker got %+v", m)
	}
	publish(s)
	v.credit(1)
	if m, ok := v.frame(); !ok || m.FrameSeq != 4 {
		t.Errorf("the visitor, which asked again, got %+v", m)
	}
}

func TestAVisitorSeesNoPictureOfAClientAndIsNoCapacity(t *testing.T) {
	h := newHouse(t, Options{MaxWorkers: 1, Visitors: 1})
	guest, err := h.AddStream(StreamSpec{Name: "@clients", Width: 32, Height: 16, Slots: 4, Depth: 4, Guest: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guest.Retire)
	camera := h.stream("door")
	v := h.visitor()
	if ready, _ := h.Capacity(0); ready != 0 {
		t.Errorf("%d workers are ready where only a visitor is", ready)
	}
	publish(guest)
	publish(camera)
	if m, ok := v.frame(); !ok || v.rings[m.RingID].StreamName.String() != "door" {
		t.Errorf("the visitor got %+v", m)
	}
	if h.counters("@clients").InFlight != 1 {
		t.Errorf("the client's picture is %+v", h.counters("@clients"))
	}
	if m, ok := h.worker(1).frame(); !ok || m.FrameSeq != 1 {
		t.Errorf("the worker got %+v", m)
	}
}

func TestAVisitorHasASlotOfItsOwn(t *testing.T) {
	h := newHouse(t, Options{MaxWorkers: 2, Visitors: 1})
	s := h.stream("door")
	h.visitor() // these hold a frame each and never answer
	for range 2 {
		publish(s)
		h.worker(1)
		publish(s)
	}
	waiting.Until(t, "all three hold a lease", func() bool { return h.Snapshot().Streams[0].Free <= 6-3 })
	for range 20 {
		publish(s)
	}
	if c := h.counters("door"); c.NoSlot != 0 {
		t.Errorf("the camera ran out of slots: %+v", c)
	}
	if slots := h.Snapshot().Streams[0].Slots; slots != 6 {
		t.Errorf("there are %d slots, not those of two workers, one replacement, one visitor and two frames on their way", slots)
	}
}
