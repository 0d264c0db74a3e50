// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"testing"

	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

// heard waits until the daemon has taken what the only worker said before.
func (p *peer) heard(h *house, losses uint64) {
	h.t.Helper()
	p.send(serverStatePacket(losses, 0))
	waiting.Until(h.t, "it is heard", func() bool {
		server := h.Snapshot().Workers[0].Server
		return server != nil && server.Losses == losses
	})
}

func TestAWorkerHoldsNoMoreFramesThanItWasGranted(t *testing.T) {
	h := newHouse(t, Options{Credit: 2})
	guest, p := h.guest(1), h.worker(ring.MaxCredit)
	for range 4 {
		publish(guest)
	}
	if w := h.Snapshot().Workers[0]; w.Outstanding != 2 || w.Credit != 2 {
		t.Errorf("one that asked for %d has %d of %d", ring.MaxCredit, w.Outstanding, w.Credit)
	}
	p.credit(ring.MaxCredit)
	p.heard(h, 1)
	if w := h.Snapshot().Workers[0]; w.Outstanding != 2 || w.Credit != 2 {
		t.Errorf("one that asked for %d again has %d of %d", ring.MaxCredit, w.Outstanding, w.Credit)
	}
}

func TestAVisitorHoldsOneFrame(t *testing.T) {
	h := newHouse(t, Options{Credit: 4, Visitors: 1})
	m := visiting()
	m.Credit = 4
	h.welcomed(m)
	s := h.stream("door")
	for range 4 {
		publish(s)
	}
	if v := h.Snapshot().Visitors[0]; v.Outstanding != 1 || v.Credit != 1 {
		t.Errorf("a visitor has %d of %d", v.Outstanding, v.Credit)
	}
}

// What a worker that holds several frames takes for the second one begins with the answer to the first.
func TestTheTimeOfAFrameDoesNotCountThatOfTheOneBefore(t *testing.T) {
	w := &worker{}
	for _, resultNs := range []int64{100, 200, 300} {
		w.learn(&lease{worker: w, weight: 1}, &ring.Result{}, resultNs)
	}
	if w.serviceNs != 100 {
		t.Errorf("a worker that answers each 100 ns takes %.0f", w.serviceNs)
	}
}

// The time for HELLO is not one for what follows: whoever says nothing came later, and is gone by then.
func TestAWorkerThatIsInMayStayBeyondTheTimeForHello(t *testing.T) {
	h := newHouse(t, Options{HelloMs: 300})
	var p *peer
	waiting.Until(t, "it speaks in time", func() bool {
		p = h.dial()
		p.hello(hello(1))
		kind, _ := p.read()
		return kind == ring.TypeWelcome
	})
	if kind, _ := h.dial().read(); kind != 0 {
		t.Errorf("a silent one is sent message %d", kind)
	}
	publish(h.stream("door"))
	if m, ok := p.frame(); !ok || m.FrameSeq != 1 {
		t.Errorf("the worker got %+v", m)
	}
}
