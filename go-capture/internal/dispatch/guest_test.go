// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

func (h *house) guest(tries int) *Stream {
	h.t.Helper()
	s, err := h.AddStream(StreamSpec{Name: "@clients", Width: 32, Height: 16, Slots: 8, Depth: 8, Guest: true, Tries: tries})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(s.Retire)
	return s
}

// lent tells which streams are served, in order, while all of them have something waiting.
func lent(d *Dispatcher, streams []*Stream, turns int) map[*Stream]int {
	served := map[*Stream]int{}
	for range turns {
		for _, s := range streams {
			if len(s.pending) == 0 {
				s.pending = append(s.pending, &Slot{stream: s, state: pending})
			}
		}
		served[serveNext(d)]++
	}
	return served
}

// serveNext lends the frame of the stream whose turn it is to nobody.
func serveNext(d *Dispatcher) *Stream {
	next := d.nextStream()
	slot := next.pending[0]
	next.pending = nil
	d.settle(slot)
	d.turn++
	next.served = d.turn
	return next
}

// TestGuestsNeverTakeMoreThanTheirShareFromCameras: whatever the share and however many cameras, guests get it to the frame, and
// the cameras' shares are equal (Jain's index).
func TestGuestsNeverTakeMoreThanTheirShareFromCameras(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := New(Options{GuestShare: rapid.Float64Range(0.05, 0.95).Draw(r, "share")})
		cameras, guests := rapid.IntRange(1, 8).Draw(r, "cameras"), rapid.IntRange(1, 4).Draw(r, "guests")
		for i := range cameras + guests {
			d.streams = append(d.streams, &Stream{dispatcher: d, spec: StreamSpec{Guest: i >= cameras}})
		}
		const turns = 400
		served := lent(d, d.streams, turns)
		sum, squares, guestFrames := 0.0, 0.0, 0
		for s, n := range served {
			if s.spec.Guest {
				guestFrames += n
				continue
			}
			sum, squares = sum+float64(n), squares+float64(n*n)
		}
		if want := d.options.GuestShare * turns; float64(guestFrames) < want-2 || float64(guestFrames) > want+2 {
			r.Fatalf("guests got %d of %d turns, want %.0f", guestFrames, turns, want)
		}
		if jain := sum * sum / (float64(cameras) * squares); jain < 0.95 {
			r.Fatalf("Jain's index of the cameras is %.3f", jain)
		}
	})
}

func TestGuestsGetEveryPauseOfTheCameras(t *testing.T) {
	d := New(Options{GuestShare: 0.05})
	camera, guest := &Stream{dispatcher: d}, &Stream{dispatcher: d, spec: StreamSpec{Guest: true}}
	d.streams = []*Stream{camera, guest}
	if served := lent(d, []*Stream{guest}, 50); served[guest] != 50 {
		t.Fatalf("guests got %d of 50 turns in which no camera waited", served[guest])
	}
	if d.guestsDue != 0 {
		t.Fatalf("guests owe %.2f for pauses that nobody else wanted", d.guestsDue)
	}
}

func TestAPictureWhoseWorkerDiesIsLentOnceMore(t *testing.T) {
	h := newHouse(t, Options{MaxWorkers: 4})
	guest := h.guest(2)
	for i := range 2 {
		first := h.worker(1)
		if i == 0 {
			publish(guest)
		}
		if m, _ := first.frame(); m.FrameSeq != 1 {
			t.Fatalf("lent frame %d, want 1", m.FrameSeq)
		}
		first.close()
		waiting.Until(t, "the worker is gone", func() bool { return len(h.Snapshot().Workers) == 0 })
		if i == 0 && h.counters("@clients").InFlight != 1 {
			t.Fatalf("after the first death: %+v", h.counters("@clients"))
		}
	}
	waiting.Until(t, "two deaths are enough", func() bool { return h.counters("@clients").Abandoned == 1 })
	if c := h.counters("@clients"); c.InFlight != 0 || c.Captured != 1 {
		t.Fatalf("the account is %+v", c)
	}
}

// By the death itself: what the timer does, a picture that is late, is far away.
func TestAPictureThatSurvivedADeathIsAnsweredByTheNextWorker(t *testing.T) {
	h := newHouse(t, Options{MaxWorkers: 4, LeaseMs: int(time.Hour.Milliseconds())})
	guest := h.guest(2)
	first, second := h.worker(1), h.worker(1)
	publish(guest)
	h.stream("door")
	victim, heir := first, second
	if h.Snapshot().Workers[0].Outstanding == 0 {
		victim, heir = second, first
	}
	victim.close()
	m, ok := heir.frame()
	if !ok {
		t.Fatal("the heir was dropped")
	}
	heir.check(m)
	heir.answer(ring.Result{LeaseID: m.LeaseID})
	waiting.Until(t, "it is inferred", func() bool { return h.counters("@clients").Inferred == 1 })
	if got := h.fates(); got[Inferred] != 1 || len(got) != 1 {
		t.Fatalf("outcomes %v, want one inferred", got)
	}
}

func TestAWithdrawnPictureFreesItsSlotAtOnce(t *testing.T) {
	h := newHouse(t, Options{})
	guest := h.guest(2)
	slots := []*Slot{publish(guest), publish(guest)}
	if !guest.Withdraw(slots[0].Seq()) {
		t.Error("it is said to have been lent")
	}
	guest.Withdraw(99)
	if c := h.counters("@clients"); c.Aborted != 1 || c.InFlight != 1 {
		t.Fatalf("the account is %+v", c)
	}
}

func TestAWithdrawnPictureIsNotLentAgain(t *testing.T) {
	h := newHouse(t, Options{MaxWorkers: 2})
	guest := h.guest(2)
	p := h.worker(1)
	seq := publish(guest).Seq()
	if _, ok := p.frame(); !ok {
		t.Fatal("the worker was dropped")
	}
	if guest.Withdraw(seq) {
		t.Error("it is said never to have been lent")
	}
	p.close()
	waiting.Until(t, "it is abandoned", func() bool { return h.counters("@clients").Abandoned == 1 })
}

func TestCapacityCountsWorkersThatTakeFramesAndTheirTime(t *testing.T) {
	h := newHouse(t, Options{MaxWorkers: 2})
	ready := func() int { n, _ := h.Capacity(0); return n }
	if n, service := h.Capacity(0); n != 0 || service != 0 {
		t.Fatalf("%d workers of none, which take %v", n, service)
	}
	p := h.worker(1)
	waiting.Until(t, "one", func() bool { return ready() == 1 })
	publish(h.guest(1))
	m, _ := p.frame()
	p.answer(ring.Result{LeaseID: m.LeaseID})
	waiting.Until(t, "its time is known", func() bool { _, service := h.Capacity(0); return service > 0 })
	packet := make([]byte, ring.CreditBytes)
	(&ring.Credit{}).Put(packet)
	p.send(packet)
	waiting.Until(t, "none that is not paused", func() bool { return ready() == 0 })
}

func TestAWorkerThatHasJustLeftCountsAsOneThatComesBack(t *testing.T) {
	h := newHouse(t, Options{MaxWorkers: 2})
	ready := func() int { n, _ := h.Capacity(time.Hour); return n }
	left := func() bool {
		h.Dispatcher.mu.Lock()
		defer h.Dispatcher.mu.Unlock()
		return h.leftNs > 0
	}
	leftAt := func(ns int64) {
		h.Dispatcher.mu.Lock()
		defer h.Dispatcher.mu.Unlock()
		h.leftNs = ns
	}
	p := h.worker(1)
	waiting.Until(t, "it is there", func() bool { return ready() == 1 })
	if left() {
		t.Error("nobody has left")
	}
	p.close()
	waiting.Until(t, "it has left", left)
	if leftAt(now() + int64(time.Hour)); ready() != 1 {
		t.Error("it has just left, and does not count")
	}
	if leftAt(1); ready() != 0 {
		t.Error("it left long ago, and counts")
	}
}

// A client's picture would rather wait for the next one.
func TestAWorkerThatTakesNoMoreCountsAsOneThatComesBack(t *testing.T) {
	pause := make([]byte, ring.CreditBytes)
	(&ring.Credit{}).Put(pause)
	for how, end := range map[string]func(*house, *worker, *peer, *Stream){
		"it says so":         func(h *house, w *worker, _ *peer, _ *Stream) { h.take(w, pause) },
		"it cannot be asked": func(_ *house, _ *worker, p *peer, s *Stream) { p.close(); publish(s) },
	} {
		h := newHouse(t, Options{})
		s := h.stream("door")
		p, w := h.unheard(hello(1))
		end(h, w, p, s)
		h.Dispatcher.mu.Lock()
		if h.leftNs == 0 || w.credit != 0 {
			t.Errorf("%s: it left at %d, with a credit of %d", how, h.leftNs, w.credit)
		}
		h.Dispatcher.mu.Unlock()
		h.leave(w, hungUp)
	}
}

func TestHowLongAWorkerMayBeAwayIsForWhoeverAsksToSay(t *testing.T) {
	d := New(Options{})
	d.leftNs = 1
	for _, one := range []struct {
		ago, patience time.Duration
		want          bool
	}{{0, 0, true}, {backLeast - 1, 0, true}, {backLeast, 0, false}, {backLeast, time.Second, true}, {time.Second, time.Second, false},
		{backMost - 1, time.Hour, true}, {backMost, time.Hour, false}} {
		if got := d.comesBack(d.leftNs+int64(one.ago), one.patience); got != one.want {
			t.Errorf("%v after it left, for who waits %v: %t", one.ago, one.patience, got)
		}
	}
	d.leftNs = 0
	if d.comesBack(1, time.Hour) {
		t.Error("one comes back that never left")
	}
}

// A client waits for each of its pictures.
func TestNoPictureOfAClientGivesWayToAnother(t *testing.T) {
	h := newHouse(t, Options{})
	guest := h.guest(1)
	for range 8 {
		publish(guest)
	}
	if slot := guest.Acquire(); slot.Bytes() != nil {
		t.Error("a ninth got a slot of eight")
	}
	if c := h.counters("@clients"); c.Superseded != 0 || c.NoSlot != 1 || c.InFlight != 8 {
		t.Errorf("%+v", c)
	}
}

// While both wait, each frame that is really lent is set off against the share.
func TestCamerasAndGuestsShareAWorker(t *testing.T) {
	h := newHouse(t, Options{GuestShare: 0.25})
	guest, camera, p := h.guest(1), h.stream("door"), h.worker(1)
	for range 2 { // the worker has one of these, and both have one that waits
		publish(guest)
		publish(camera)
	}
	got := map[uint32]int{}
	for range 40 {
		m, _ := p.frame()
		got[m.RingID]++
		publish(camera)
		if h.counters("@clients").InFlight < 4 {
			publish(guest)
		}
		p.answer(ring.Result{LeaseID: m.LeaseID})
	}
	if n := got[guest.id]; n < 9 || n > 12 {
		t.Errorf("clients got %d of 40 frames, want a quarter", n)
	}
}
