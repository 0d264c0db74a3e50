// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"testing"

	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

// slotHeader is what a tool that looks into the ring sees of a slot.
func (p *peer) slotHeader(ringID uint32, slot int) (is ring.SlotHeader) {
	is.Get(p.maps[ringID][ring.SlotHeaderOffset+slot*ring.SlotHeaderStride:])
	return is
}

func TestASlotTellsWhetherItsFrameIsWhole(t *testing.T) {
	h := newHouse(t, Options{})
	s, p := h.stream("door"), h.worker(1)
	publish(s)
	m, _ := p.frame()
	if is := p.slotHeader(s.id, int(m.Slot)); is.Generation != 2 || is.FrameSeq != 1 || is.Width != 32 {
		t.Errorf("of a whole one it says %+v", is)
	}
	written := s.Acquire()
	defer written.Abort()
	if is := p.slotHeader(s.id, written.index); is.Generation != 5 || is.FrameSeq != 2 {
		t.Errorf("of one that is being written it says %+v", is)
	}
}

func TestAWorkerIsToldWhetherARingHasASuccessor(t *testing.T) {
	h := newHouse(t, Options{})
	old, p := h.stream("door"), h.worker(1)
	successor := h.stream("door")
	old.Retire()
	p.retired(old, ring.RetirementReplaced)
	successor.Retire()
	p.retired(successor, ring.RetirementRemoved)
}

// retired reads on until the daemon tells that a ring is no more.
func (p *peer) retired(s *Stream, why uint32) {
	p.t.Helper()
	kind, packet := p.read()
	for ; kind != ring.TypeRingRetire && kind != 0; kind, packet = p.read() {
	}
	var m ring.RingRetire
	if err := m.Decode(packet); err != nil || m.RingID != s.id || m.Reason != why {
		p.t.Errorf("told %+v, %v; want ring %d and reason %d", m, err, s.id, why)
	}
}

// Whoever is told that no worker had its picture takes the device for busy.
func TestAWithdrawnPictureWhoseWorkerDiedWasLent(t *testing.T) {
	h := newHouse(t, Options{})
	guest, p := h.guest(2), h.worker(1)
	seq := publish(guest).Seq()
	if _, ok := p.frame(); !ok {
		t.Fatal("no lease")
	}
	p.close()
	waiting.Until(t, "the worker is gone", func() bool { return len(h.Snapshot().Workers) == 0 })
	if guest.Withdraw(seq) {
		t.Error("it is said never to have been lent")
	}
	if c := h.counters("@clients"); c.InFlight != 0 || c.Aborted != 1 {
		t.Errorf("the account is %+v", c)
	}
}
