// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"maps"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

// makeLate lets the time pass after which every lease is late.
func (h *house) makeLate() {
	h.Dispatcher.mu.Lock()
	defer h.Dispatcher.mu.Unlock()
	for _, w := range h.workers {
		for _, l := range w.leases {
			l.lateNs = l.dispatchNs
		}
	}
	h.lendLateAgain(now())
	h.pump()
}

// lentToOne lends one frame of a stream where there are two workers, and returns which of them has it first, and the other.
func lentToOne(t *testing.T, h *house, s *Stream) (has, idle *peer, m ring.Frame) {
	t.Helper()
	a, b := h.worker(1), h.worker(1)
	publish(s)
	return lentTo(t, h, a, b)
}

// lentTo waits until one of the peers has a frame, and returns which got it first, and the other. On a busy machine the other may have
// it by then, too.
func lentTo(t *testing.T, h *house, a, b *peer) (has, idle *peer, m ring.Frame) {
	t.Helper()
	waiting.Until(t, "one of two has the frame", func() bool { return h.firstHolder() >= 0 })
	has, idle = a, b
	if h.firstHolder() == 1 {
		has, idle = b, a
	}
	m, ok := has.frame()
	if !ok {
		t.Fatal("the worker was dropped")
	}
	return has, idle, m
}

// firstHolder is the place of the worker whose lease is the oldest, -1 if none has one.
func (h *house) firstHolder() int {
	h.Dispatcher.mu.Lock()
	defer h.Dispatcher.mu.Unlock()
	holder, oldest := -1, uint64(math.MaxUint64)
	for place, w := range h.workers {
		for id := range w.leases {
			if id < oldest {
				holder, oldest = place, id
			}
		}
	}
	return holder
}

// expectFrames lets every worker be known to take this long for a frame.
func (h *house) expectFrames(within time.Duration) {
	h.Dispatcher.mu.Lock()
	defer h.Dispatcher.mu.Unlock()
	for _, w := range h.workers {
		w.serviceNs = float64(within)
	}
}

func TestAPictureThatIsLateIsAnsweredByAnotherWorker(t *testing.T) {
	h := newHouse(t, Options{})
	guest := h.guest(2)
	stuck, idle := h.worker(1), h.worker(1)
	h.expectFrames(time.Millisecond)
	seq := publish(guest).Seq()
	stuck, idle, first := lentTo(t, h, stuck, idle)
	// By itself, when its time has come.
	second, ok := idle.frame()
	if !ok || second.FrameSeq != seq || second.Slot != first.Slot || second.LeaseID == first.LeaseID {
		t.Fatalf("the idle worker got %+v, the other one has %+v", second, first)
	}
	idle.check(second)
	idle.answer(ring.Result{LeaseID: second.LeaseID})
	waiting.Until(t, "the picture has its answer", func() bool { return h.counters("@clients").Inferred == 1 })
	if free := h.Snapshot().Streams[0].Free; free != 7 {
		t.Fatalf("%d of 8 slots are free while the stuck worker has one", free)
	}
	stuck.check(first)
	stuck.answer(ring.Result{LeaseID: first.LeaseID})
	waiting.Until(t, "the slot is free", func() bool { return h.Snapshot().Streams[0].Free == 8 })
	if c := h.counters("@clients"); c != (Counters{Captured: 1, Inferred: 1, LentAgain: 1}) {
		t.Fatalf("the account is %+v", c)
	}
	if got := h.fates(); len(got) != 1 || got[Inferred] != 1 {
		t.Fatalf("outcomes %v, want one", got)
	}
	if n := len(h.Snapshot().Workers); n != 2 {
		t.Fatalf("%d workers are left: an answer that comes second must not end its worker", n)
	}
}

func TestBeforeAFrameWasMeasuredAPictureIsLateAfterAnEighthOfTheLease(t *testing.T) {
	h := newHouse(t, Options{LeaseMs: 80_000})
	guest, p := h.guest(2), h.worker(1)
	publish(guest)
	m, _ := p.frame()
	h.Dispatcher.mu.Lock()
	defer h.Dispatcher.mu.Unlock()
	if l := h.workers[0].leases[m.LeaseID]; l.lateNs-l.dispatchNs != (10 * time.Second).Nanoseconds() {
		t.Errorf("it is late after %v", time.Duration(l.lateNs-l.dispatchNs))
	}
}

func TestTheFirstAnswerCountsWhoeverGivesItAndAFailureWaitsForTheOther(t *testing.T) {
	for name, c := range map[string]struct {
		status uint32
		fate   Fate
	}{"answered": {ring.StatusOK, Inferred}, "failed": {ring.StatusFailed, Abandoned}} {
		h := newHouse(t, Options{})
		guest := h.guest(2)
		slow, other, first := lentToOne(t, h, guest)
		h.makeLate()
		second, _ := other.frame()
		other.answer(ring.Result{LeaseID: second.LeaseID, Status: ring.StatusFailed})
		waiting.Until(t, "the failure is taken", func() bool { return h.Snapshot().Workers[0].Outstanding+h.Snapshot().Workers[1].Outstanding == 1 })
		if in := h.counters("@clients").InFlight; in != 1 {
			t.Fatalf("%s: %d in flight while one worker still has it", name, in)
		}
		slow.answer(ring.Result{LeaseID: first.LeaseID, Status: c.status})
		waiting.Until(t, "the end", func() bool { return h.fates()[c.fate] == 1 })
	}
}

func TestALatePictureWhoseWorkerAnswersIsNotLentAgain(t *testing.T) {
	h := newHouse(t, Options{})
	guest := h.guest(2)
	p := h.worker(1)
	publish(guest)
	m, _ := p.frame()
	h.makeLate()
	p.answer(ring.Result{LeaseID: m.LeaseID})
	waiting.Until(t, "it is inferred", func() bool { return h.counters("@clients").Inferred == 1 })
	h.worker(1)
	if got := h.Snapshot().Workers[1].Outstanding; got != 0 {
		t.Fatalf("the next worker has %d frames of none", got)
	}
}

// It has room for more, but would only do twice what it does not do.
func TestAPictureThatIsLateIsNotLentToTheSameWorkerOnceMore(t *testing.T) {
	h := newHouse(t, Options{Credit: 2})
	guest, p := h.guest(2), h.worker(2)
	publish(guest)
	if _, ok := p.frame(); !ok {
		t.Fatal("no lease")
	}
	h.makeLate()
	if w := h.Snapshot().Workers[0]; w.Outstanding != 1 {
		t.Errorf("it has it %d times", w.Outstanding)
	}
}

func TestAFrameOfACameraIsNeverLentTwice(t *testing.T) {
	h := newHouse(t, Options{})
	s := h.stream("door")
	_, idle, first := lentToOne(t, h, s)
	h.makeLate()
	publish(s)
	if m, ok := idle.frame(); !ok || m.FrameSeq != first.FrameSeq+1 {
		t.Fatalf("the idle worker got frame %d, want the next one", m.FrameSeq)
	}
}

func TestSecondLeasesAreAPartOfAllFrames(t *testing.T) {
	h := newHouse(t, Options{})
	guest := h.guest(2)
	workers := []*peer{h.worker(1), h.worker(1)}
	again := 0
	for range 40 {
		publish(guest)
		slow, other, first := lentTo(t, h, workers[0], workers[1])
		h.makeLate()
		twice := h.Snapshot().Workers[0].Outstanding+h.Snapshot().Workers[1].Outstanding == 2
		slow.answer(ring.Result{LeaseID: first.LeaseID})
		if twice {
			again++
			m, _ := other.frame()
			other.answer(ring.Result{LeaseID: m.LeaseID})
		}
		waiting.Until(t, "all is answered", func() bool { return h.Snapshot().Streams[0].Free == 8 })
	}
	if again < mostSpare || again > mostSpare+8 {
		t.Fatalf("%d of 40 pictures were lent twice, want the %d in stock and a tenth of what came back", again, mostSpare)
	}
}

// All pictures of a worker that has stopped are late in the same moment.
func TestAtMostTenPicturesAreLentTwiceAtOnce(t *testing.T) {
	h := newHouse(t, Options{Credit: 32})
	guest, err := h.AddStream(StreamSpec{Name: "@clients", Width: 32, Height: 16, Slots: 32, Depth: 32, Guest: true, Tries: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guest.Retire)
	h.worker(32)
	for range 32 {
		publish(guest)
	}
	waiting.Until(t, "all are lent", func() bool { return h.Snapshot().Workers[0].Outstanding == 32 })
	h.worker(32)
	h.makeLate()
	if again := h.counters("@clients").LentAgain; again != mostSpare {
		t.Errorf("%d pictures were lent twice, want %d", again, mostSpare)
	}
}

func TestAPictureWaitsForABusyWorkerThatIsFasterThanAFreeOne(t *testing.T) {
	const ms, at = float64(time.Millisecond), int64(time.Hour)
	d := New(Options{})
	fast := &worker{serviceNs: 20 * ms, credit: 1, leases: map[uint64]*lease{}}
	slow := &worker{serviceNs: 90 * ms, credit: 1, leases: map[uint64]*lease{}}
	d.workers = []*worker{fast, slow}
	camera := &Stream{dispatcher: d}
	guest := &Stream{dispatcher: d, spec: StreamSpec{Guest: true}}
	picture := &Slot{stream: guest, state: pending}
	guest.pending = []*Slot{picture}
	held := &lease{dispatchNs: at, lateNs: math.MaxInt64}
	fast.leases[1] = held
	if w := d.nextWorker(picture, at); w != nil {
		t.Errorf("the picture goes to the worker of %v ns", w.serviceNs)
	}
	if w := d.nextWorker(&Slot{stream: camera}, at); w != slow {
		t.Error("a camera's frame has no worker although one is free")
	}
	guest.pending = []*Slot{picture, picture, picture, picture, picture}
	if w := d.nextWorker(picture, at); w != slow {
		t.Error("five pictures wait for one worker although another would be done before")
	}
	guest.pending = guest.pending[:1]
	held.lateNs = 1
	if w := d.nextWorker(picture, at); w != slow {
		t.Error("the picture waits for a worker that is late")
	}
	delete(fast.leases, 1)
	if w := d.nextWorker(picture, at); w != fast {
		t.Error("the picture goes to the slow one of two that are free")
	}
	d.turn, fast.used = forgotten+1, forgotten
	if w := d.nextWorker(picture, at); w != slow {
		t.Error("a slow worker is never tried again")
	}
}

// TestAPictureDoesNotWaitForEverForAWorkerThatIsStuck: the timer comes although no result does.
func TestAPictureDoesNotWaitForEverForAWorkerThatIsStuck(t *testing.T) {
	h := newHouse(t, Options{})
	guest := h.guest(1)
	_, idle, _ := lentToOne(t, h, guest)
	h.Dispatcher.mu.Lock()
	for _, w := range h.workers {
		w.serviceNs = 1e8
		for _, l := range w.leases {
			w.serviceNs, l.lateNs = 1e6, now()+5e7
		}
	}
	h.Dispatcher.mu.Unlock()
	second := publish(guest).Seq()
	if m, ok := idle.frame(); !ok || m.FrameSeq != second {
		t.Fatalf("the free worker got %d, want %d", m.FrameSeq, second)
	}
}

func TestRingsGetRoomForWorkersThatComeLater(t *testing.T) {
	h := newHouse(t, Options{Workers: 1, Credit: 2})
	door := h.stream("door")
	guest, err := h.AddStream(StreamSpec{Name: "@clients", Width: 32, Height: 16, Depth: ring.MaxSlots, Guest: true, Beside: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Retire()
	slots := func(at int) int { return h.Snapshot().Streams[at].Slots }
	for n, want := range []struct{ guests, door int }{{6, 6}, {6, 6}, {10, 8}, {14, 10}} {
		if n > 0 {
			h.worker(2)
		}
		if slots(0) != want.guests || slots(1) != want.door {
			t.Fatalf("with %d workers there are %d and %d slots, want %+v", n, slots(0), slots(1), want)
		}
	}
	for range 6 {
		publish(guest)
	}
	waiting.Until(t, "three workers hold two each", func() bool { return h.Snapshot().Streams[0].Free == 14-6 })
	for range 8 {
		publish(door)
	}
	if late := h.stream("hall"); late.memory.Slots() < 10 || slots(2) != 12 {
		t.Fatalf("a camera that comes last has %d slots of %d", slots(2), late.memory.Slots())
	}
}

func TestACameraOfWorkersThatMayHoldMoreThanARingHasSlotsIsServed(t *testing.T) {
	h := newHouse(t, Options{Workers: 4, Credit: ring.MaxCredit})
	door, err := h.AddStream(StreamSpec{Name: "door", Width: 32, Height: 16})
	if err != nil {
		t.Fatal(err)
	}
	defer door.Retire()
	if n := h.Snapshot().Streams[0].Slots; n != ring.MaxSlots {
		t.Fatalf("it has %d slots, not %d", n, ring.MaxSlots)
	}
	peers := []*peer{h.worker(ring.MaxCredit), h.worker(ring.MaxCredit), h.worker(ring.MaxCredit), h.worker(ring.MaxCredit)}
	for range ring.MaxSlots + 1 {
		publish(door)
	}
	if c := h.counters("door"); c.InFlight != ring.MaxSlots || c.NoSlot != 1 {
		t.Fatalf("workers hold every slot: %+v", c)
	}
	for _, p := range peers {
		if m, ok := p.frame(); ok {
			p.answer(ring.Result{LeaseID: m.LeaseID})
		}
	}
	waiting.Until(t, "all four answer", func() bool { return h.fates()[Inferred] == 4 })
}

// TestTheAccountOfPicturesThatAreLentTwiceIsExact: whatever happens in whatever order.
func TestTheAccountOfPicturesThatAreLentTwiceIsExact(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		h := newHouse(t, Options{Workers: 3, Credit: 2})
		guest, err := h.AddStream(StreamSpec{Name: "door", Width: 8, Height: 8, Depth: ring.MaxSlots, Guest: true, Tries: 2, Beside: 2})
		if err != nil {
			r.Fatal(err)
		}
		sc := &scene{h: h, stream: guest}
		for range rapid.IntRange(5, 60).Draw(r, "events") {
			event := rapid.SampledFrom([]string{"acquire", "publish", "publish", "late", "join", "leave", "answer", "answer", "fail", "withdraw"}).Draw(r, "event")
			switch event {
			case "late":
				h.makeLate()
			case "withdraw":
				guest.Withdraw(rapid.Uint64Range(1, 20).Draw(r, "seq"))
			default:
				sc.event(r, event)
			}
			sc.account(r)
		}
		for _, p := range sc.peers {
			p.close()
		}
		for _, slot := range sc.writing {
			slot.Abort()
		}
		waiting.Until(t, "the workers are gone", func() bool { return len(h.Snapshot().Workers) == 0 })
		guest.Retire()
		if n := h.counters("door").InFlight; n != 0 {
			r.Fatalf("%d frames have no end", n)
		}
		sc.account(r)
		sc.oneOutcomeEach(r)
	})
}

// A ring that is to go waits for the worker that has it, and lends it to nobody else.
func TestALatePictureOfARingThatIsRetiredEndsWithItsWorker(t *testing.T) {
	for fate, end := range map[Fate]func(*peer, ring.Frame){
		Inferred:  func(p *peer, m ring.Frame) { p.answer(ring.Result{LeaseID: m.LeaseID}) },
		Abandoned: func(p *peer, _ ring.Frame) { p.close() },
	} {
		h := newHouse(t, Options{})
		guest, p := h.guest(2), h.worker(1)
		publish(guest)
		m, _ := p.frame()
		h.makeLate()
		guest.Retire()
		h.makeLate()
		if in := h.counters("@clients").InFlight; in != 1 || len(h.fates()) != 0 {
			t.Errorf("%d are in flight while its worker has it, and %v have ended", in, h.fates())
		}
		end(p, m)
		waiting.Until(t, "the ring is gone", func() bool { return h.Snapshot().Streams[0].Rings == 0 })
		if got := h.fates(); !maps.Equal(got, map[Fate]uint64{fate: 1}) {
			t.Errorf("outcomes %v, want one, %v", got, fate)
		}
		if in := guest.account.InFlight; in != 0 {
			t.Errorf("%d are in flight", in)
		}
	}
}

func TestAWorkerThatDiesOverAPictureThatAnotherHasAnsweredFreesItsSlot(t *testing.T) {
	h := newHouse(t, Options{})
	guest := h.guest(2)
	stuck, other, _ := lentToOne(t, h, guest)
	h.makeLate()
	m, _ := other.frame()
	other.answer(ring.Result{LeaseID: m.LeaseID})
	waiting.Until(t, "it has its answer", func() bool { return h.counters("@clients").Inferred == 1 })
	stuck.close()
	waiting.Until(t, "the stuck one is gone", func() bool { return len(h.Snapshot().Workers) == 1 })
	if free := h.Snapshot().Streams[0].Free; free != 8 {
		t.Errorf("%d of 8 slots are free", free)
	}
}
