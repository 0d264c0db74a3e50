// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

// reserves asks a function whether there is memory, each time a ring needs more of it: the first is 1.
func (h *house) reserves(may func(nth int32) error) {
	var times atomic.Int32
	h.Dispatcher.mu.Lock()
	defer h.Dispatcher.mu.Unlock()
	h.reserve = func(memory *ring.Ring, slots int) error {
		err := may(times.Add(1))
		if memory.Fd() < 0 {
			h.t.Error("the ring is closed while it gets memory")
		}
		if err != nil {
			return err
		}
		return memory.Reserve(slots)
	}
}

// firstWaits lets the first that needs memory wait for goOn. What comes of each need is given: the rest get memory.
func (h *house) firstWaits(ends ...error) (waits <-chan struct{}, goOn func()) {
	asked, may := make(chan struct{}), make(chan struct{})
	h.reserves(func(nth int32) error {
		if nth == 1 {
			close(asked)
			<-may
		}
		if int(nth) <= len(ends) {
			return ends[nth-1]
		}
		return nil
	})
	goOn = sync.OnceFunc(func() { close(may) })
	h.t.Cleanup(goOn) // otherwise a test that has failed waits for its worker
	return asked, goOn
}

// says connects a worker that may have to wait for its answer.
func (h *house) says(m ring.Hello) *peer {
	h.t.Helper()
	p := h.dial()
	p.hello(m)
	return p
}

func (p *peer) isWelcome() {
	p.t.Helper()
	if kind, _ := p.read(); kind != ring.TypeWelcome {
		p.t.Fatalf("answer to HELLO is message %d", kind)
	}
}

// Where memory is short, the kernel takes its time to find some.
func TestNothingWaitsWhileRingsGetMemoryForOneMoreWorker(t *testing.T) {
	h := newHouse(t, Options{})
	door, hall := h.stream("door"), h.stream("hall")
	first := h.worker(1)
	waits, goOn := h.firstWaits()
	second := h.says(hello(1))
	waiting.For(t, "memory is asked for", waits)
	captured := make(chan *Slot, 1)
	go func() { captured <- publish(door) }()
	waiting.For(t, "a camera finds a slot", captured)
	m, _ := first.frame()
	first.answer(ring.Result{LeaseID: m.LeaseID})
	waiting.Until(t, "the frame is inferred", func() bool { return h.counters("door").Inferred == 1 })
	if shot := h.Snapshot(); len(shot.Workers) != 1 || shot.Streams[0].Slots != 4 {
		t.Fatalf("before there is memory: %+v", shot)
	}
	goOn()
	second.isWelcome()
	publish(door)
	publish(hall)
	for _, p := range []*peer{first, second} {
		if m, ok := p.frame(); ok {
			p.check(m)
		}
	}
	if shot := h.Snapshot(); len(shot.Workers) != 2 || shot.Streams[0].Slots != 5 || shot.Streams[1].Slots != 5 {
		t.Errorf("with two workers: %+v", shot)
	}
}

// One that a capturer still writes to is only retired, and goes later.
func TestAStreamMayGoWhileItsRingGetsMemory(t *testing.T) {
	for _, c := range []struct {
		end     error
		written bool
	}{{nil, false}, {unix.ENOSPC, false}, {nil, true}, {unix.ENOSPC, true}} {
		h := newHouse(t, Options{})
		porch, hall := h.stream("porch"), h.stream("hall")
		h.worker(1)
		waits, goOn := h.firstWaits(c.end)
		second := h.says(hello(1))
		waiting.For(t, "memory is asked for", waits)
		slot := porch.Acquire()
		if !c.written {
			slot.Abort()
		}
		porch.Retire()
		if publish(porch).Bytes() != nil {
			t.Errorf("%+v: the stream is still there", c)
		}
		goOn()
		second.isWelcome()
		slot.Abort()
		publish(hall)
		publish(hall)
		if m, ok := second.frame(); !ok || second.rings[m.RingID].StreamName.String() != "hall" || len(second.rings) != 1 {
			t.Errorf("%+v: the worker got %+v of rings %v", c, m, second.rings)
		}
		if n := fdsOf(t, "/memfd:visavis-porch"); n != 0 {
			t.Errorf("%+v: %d descriptors of the stream stay", c, n)
		}
	}
}

// Without memory a stream that comes has room for no more than the workers that are configured.
func TestAStreamThatComesMeanwhileHasRoomTooBeforeTheWorkerIsIn(t *testing.T) {
	h := newHouse(t, Options{})
	h.stream("door")
	h.worker(1)
	waits, goOn := h.firstWaits(nil, unix.ENOSPC)
	second := h.says(hello(1))
	waiting.For(t, "memory is asked for", waits)
	h.stream("hall")
	if n := h.Snapshot().Streams[1].Slots; n != 4 {
		t.Fatalf("the new stream has %d slots without memory", n)
	}
	goOn()
	second.isWelcome()
	if n := h.Snapshot().Streams[1].Slots; n != 5 {
		t.Errorf("with two workers the new stream has %d slots", n)
	}
}

func TestTheLastPlaceGoesToOneOfTwoThatWaitForMemory(t *testing.T) {
	h := newHouse(t, Options{MaxWorkers: 2})
	s := h.stream("door")
	h.worker(1)
	waits, goOn := h.firstWaits()
	both := []*peer{h.says(hello(1)), h.says(hello(1))}
	waiting.For(t, "memory is asked for", waits)
	waiting.Until(t, "both wait", func() bool {
		h.Dispatcher.mu.Lock()
		defer h.Dispatcher.mu.Unlock()
		return s.growing == 2
	})
	goOn()
	answers := map[uint16]int{}
	for _, p := range both {
		kind, _ := p.read()
		answers[kind]++
	}
	if answers[ring.TypeWelcome] != 1 || answers[ring.TypeRefuse] != 1 {
		t.Errorf("two that wait for one place got %v", answers)
	}
}

func TestAWorkerForWhichARingGetsNoMemoryIsToldSo(t *testing.T) {
	h := newHouse(t, Options{})
	s := h.stream("door")
	first := h.worker(1)
	h.reserves(func(int32) error { return unix.ENOSPC })
	refused(t, h.says(hello(1)), ring.RefusalTooManyWorkers, "the ring of door for one more worker")
	publish(s)
	if _, ok := first.frame(); !ok {
		t.Error("the first worker gets nothing more")
	}
}
