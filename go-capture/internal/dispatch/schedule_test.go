// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

// TestEqualCamerasGetEqualShares: Jain's index of the frames inferred is above 0.98.
func TestEqualCamerasGetEqualShares(t *testing.T) {
	h := newHouse(t, Options{})
	var streams []*Stream
	for _, name := range []string{"a", "b", "c", "d"} {
		streams = append(streams, h.stream(name))
	}
	p := h.worker(1)
	served := map[uint32]float64{}
	for range 200 {
		for _, s := range streams { // always in this order, so that oldest first would starve d
			publish(s)
		}
		m, ok := p.frame()
		if !ok {
			t.Fatal("the worker was dropped")
		}
		served[m.RingID]++
		before := h.Snapshot().Workers[0].Frames
		p.answer(ring.Result{LeaseID: m.LeaseID})
		waiting.Until(t, "the result is taken", func() bool { return h.Snapshot().Workers[0].Frames > before })
	}
	sum, squares := 0.0, 0.0
	for _, n := range served {
		sum += n
		squares += n * n
	}
	if jain := sum * sum / (float64(len(streams)) * squares); jain <= 0.98 {
		t.Errorf("Jain's index is %.3f of %v", jain, served)
	}
}

func TestNearlyEqualWorkersTakeTurnsAndAClearlyFasterOneIsPreferred(t *testing.T) {
	const at = int64(time.Hour)
	d := New(Options{})
	idle := func(serviceNs float64, used uint64) *worker {
		return &worker{serviceNs: serviceNs, used: used, credit: 1, leases: map[uint64]*lease{}}
	}
	fast, near, slow := idle(100, 9), idle(114, 3), idle(120, 1)
	d.turn, d.workers = 9, []*worker{fast, near, slow}
	frame := &Slot{stream: &Stream{dispatcher: d}}
	busy := func(w *worker) { w.leases[w.used] = &lease{dispatchNs: at, lateNs: math.MaxInt64} }
	if best := d.nextWorker(frame, at); best != near {
		t.Errorf("got the worker with %v ns, want the less used one within 15 %%", best.serviceNs)
	}
	busy(near)
	if best := d.nextWorker(frame, at); best != fast {
		t.Errorf("got the worker with %v ns, want the fast one", best.serviceNs)
	}
	busy(fast)
	if best := d.nextWorker(frame, at); best != slow {
		t.Errorf("got %v, want the only free one", best)
	}
}

// Frames come more slowly than both could do. Round robin would give 1 to 1.
func TestAFastWorkerGetsMoreFramesThanASlowOne(t *testing.T) {
	const frameNs, fastNs, slowNs, frames = 60_000_000, 40_000_000, 120_000_000, 400
	d := New(Options{})
	fast, slow := newPaced(fastNs), newPaced(slowNs)
	d.workers = []*worker{&slow.worker, &fast.worker}
	paced := map[*worker]*pacedWorker{&fast.worker: fast, &slow.worker: slow}
	picture := &Slot{stream: &Stream{dispatcher: d}}
	for n := range int64(frames) {
		at := (n + 1) * frameNs
		fast.work(at)
		slow.work(at)
		if w := d.nextWorker(picture, at); w != nil {
			d.turn++
			w.used = d.turn
			paced[w].lend(d.turn, at)
		}
	}
	if fast.frames+slow.frames < frames*9/10 || fast.frames < 2*slow.frames || slow.frames == 0 {
		t.Errorf("the fast worker got %d of %d frames, the slow one %d", fast.frames, frames, slow.frames)
	}
}

// pacedWorker needs the same time for each of its frames, on a clock of the test's own.
type pacedWorker struct {
	worker
	needsNs int64
	held    []*lease
}

func newPaced(needsNs int64) *pacedWorker {
	return &pacedWorker{worker: worker{credit: 2, leases: map[uint64]*lease{}}, needsNs: needsNs}
}

func (p *pacedWorker) lend(id uint64, at int64) {
	l := &lease{id: id, weight: 1, dispatchNs: at, lateNs: math.MaxInt64}
	p.leases[id], p.held = l, append(p.held, l)
}

// work gives back what is done at a time.
func (p *pacedWorker) work(at int64) {
	for len(p.held) > 0 {
		l := p.held[0]
		done := max(l.dispatchNs, p.resultNs) + p.needsNs
		if done > at {
			return
		}
		delete(p.leases, l.id)
		p.held = p.held[1:]
		p.learn(l, &ring.Result{}, done)
	}
}

// scene is a dispatcher with workers that are driven event by event.
type scene struct {
	h       *house
	stream  *Stream
	writing []*Slot
	peers   []*peer
}

func TestTheAccountIsExactAfterEveryEvent(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		h := newHouse(t, Options{MaxWorkers: 3, Credit: 2})
		sc := &scene{h: h}
		sc.add(r)
		for range rapid.IntRange(5, 40).Draw(r, "events") {
			sc.event(r, rapid.SampledFrom([]string{"acquire", "publish", "abort", "join", "leave", "answer", "fail", "change", "return"}).Draw(r, "event"))
			sc.account(r)
		}
		for _, p := range sc.peers {
			p.close()
		}
		for _, slot := range sc.writing {
			slot.Abort()
		}
		sc.stream.Retire()
		waiting.Until(t, "every frame has ended", func() bool { return h.counters("door").InFlight == 0 })
		sc.account(r)
		sc.oneOutcomeEach(r)
	})
}

func (sc *scene) add(r *rapid.T) {
	s, err := sc.h.AddStream(StreamSpec{Name: "door", Width: 8, Height: 8, Slots: rapid.IntRange(1, 5).Draw(r, "slots"), Depth: rapid.IntRange(1, 3).Draw(r, "depth")})
	if err != nil {
		r.Fatal(err)
	}
	sc.stream = s
}

func (sc *scene) event(r *rapid.T, name string) {
	switch {
	case name == "acquire":
		sc.writing = append(sc.writing, sc.stream.Acquire())
	case name == "publish" && len(sc.writing) > 0:
		sc.writing[0].Publish(Frame{})
		sc.writing = sc.writing[1:]
	case name == "abort" && len(sc.writing) > 0:
		sc.writing[0].Abort()
		sc.writing = sc.writing[1:]
	case name == "change":
		old := sc.stream
		sc.add(r)
		old.Retire()
	case name == "return": // a camera that was taken away comes back
		sc.stream.Retire()
		sc.add(r)
	case name == "join" && len(sc.h.Snapshot().Workers) < 3:
		sc.peers = append(sc.peers, sc.h.worker(2))
	case len(sc.peers) > 0 && (name == "leave" || name == "answer" || name == "fail"):
		sc.worker(name)
	}
}

// worker lets the oldest peer do one thing.
func (sc *scene) worker(name string) {
	p := sc.peers[0]
	id := sc.h.Snapshot().Workers[0].ID
	outstanding := sc.h.Snapshot().Workers[0].Outstanding
	if name == "leave" {
		p.close()
		sc.peers = sc.peers[1:]
		waiting.Until(sc.h.t, "the worker is gone", func() bool {
			workers := sc.h.Snapshot().Workers
			return len(workers) == 0 || workers[0].ID != id
		})
		return
	}
	if outstanding == 0 {
		return
	}
	m, _ := p.frame()
	status := map[string]uint32{"answer": ring.StatusOK, "fail": ring.StatusFailed}[name]
	before := sc.h.Snapshot().Workers[0].Frames
	p.answer(ring.Result{LeaseID: m.LeaseID, Status: status})
	waiting.Until(sc.h.t, "the result is taken", func() bool { return sc.h.Snapshot().Workers[0].Frames > before })
}

func (sc *scene) account(r *rapid.T) {
	c := sc.h.counters("door")
	if c.Captured != c.Inferred+c.InFlight+c.Superseded+c.NoSlot+c.Aborted+c.Abandoned {
		r.Fatalf("the account does not add up: %+v", c)
	}
	if have := sc.h.inFlight(); have != c.InFlight {
		r.Fatalf("%d slots are in use, the account says %d", have, c.InFlight)
	}
}

// inFlight counts slots, independently of the account.
func (h *house) inFlight() (n uint64) {
	h.Dispatcher.mu.Lock()
	defer h.Dispatcher.mu.Unlock()
	for _, s := range h.streams {
		for _, slot := range s.slots {
			if slot.state != free && slot.state != spent {
				n++
			}
		}
	}
	return n
}

func (sc *scene) oneOutcomeEach(r *rapid.T) {
	sc.h.mu.Lock()
	defer sc.h.mu.Unlock()
	seen := map[uint64]bool{}
	for _, o := range sc.h.outcomes {
		if seen[o.Seq] {
			r.Fatalf("frame %d ended twice", o.Seq)
		}
		seen[o.Seq] = true
	}
	if captured := sc.h.counters("door").Captured; uint64(len(seen)) != captured {
		r.Fatalf("%d outcomes of %d frames", len(seen), captured)
	}
}
