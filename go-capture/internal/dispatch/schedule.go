// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"golang.org/x/sys/unix"

	"visavis/capture/internal/ring"
)

// tie is how far expected finish times may differ and still count as equal.
const tie = 1.15

const defaultGuestShare = 0.5

// now is CLOCK_MONOTONIC in ns, the clock that both sides share.
func now() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // every Linux has this clock
	}
	return t.Nano()
}

// pump lends waiting frames while there is a worker for them. The mutex is held.
func (d *Dispatcher) pump() {
	for {
		s, w := d.longestUnserved(false), d.readyVisitor()
		if s == nil || w == nil {
			s, w = d.nextStream(), d.nextWorker()
		}
		if s == nil || w == nil {
			return
		}
		d.lend(s, w)
	}
}

// nextStream is the least recently served camera or guest: oldest frame first would starve cameras, since newer frames replace
// waiting ones. Where both wait, guests get their share, however many cameras there are and whatever the guests send.
func (d *Dispatcher) nextStream() *Stream {
	camera, guest := d.longestUnserved(false), d.longestUnserved(true)
	if guest == nil || (camera != nil && d.guestsDue < 1-d.options.GuestShare) {
		return camera
	}
	return guest
}

func (d *Dispatcher) longestUnserved(guest bool) *Stream {
	var best *Stream
	for _, s := range d.streams {
		if s.spec.Guest == guest && len(s.pending) > 0 && (best == nil || s.served < best.served) {
			best = s
		}
	}
	return best
}

// settle keeps what guests are due: their share of each frame lent while both waited, less what they got. It counts no further
// than one frame, or the heaviest that guests have sent, so that nobody saves up while the other has nothing to send.
func (d *Dispatcher) settle(lent *Slot) {
	guest := lent.stream.spec.Guest
	if d.longestUnserved(!guest) == nil {
		return
	}
	weight := lent.weight()
	d.guestsDue += d.options.GuestShare * weight
	if guest {
		d.guestsDue -= weight
		d.heaviest = max(d.heaviest, weight)
	}
	d.guestsDue = min(max(d.guestsDue, -max(1, d.heaviest)), 1)
}

// readyVisitor is one that asks for a camera's frame. It asks seldom and is served first: being slower than the workers it would
// never get one otherwise.
func (d *Dispatcher) readyVisitor() *worker {
	for _, w := range d.workers {
		if w.visits() && w.ready() {
			return w
		}
	}
	return nil
}

// nextWorker is the one expected to finish first; among nearly equal ones the least recently used.
func (d *Dispatcher) nextWorker() *worker {
	least := -1.0
	for _, w := range d.workers {
		if !w.visits() && w.ready() && (least < 0 || w.finishNs() < least) {
			least = w.finishNs()
		}
	}
	var best *worker
	for _, w := range d.workers {
		if !w.visits() && w.ready() && w.finishNs() <= least*tie && (best == nil || w.used < best.used) {
			best = w
		}
	}
	return best
}

// lend sends the stream's oldest waiting frame. A worker that cannot take it is broken and leaves.
func (d *Dispatcher) lend(s *Stream, w *worker) {
	slot := s.pending[0]
	s.pending = s.pending[1:]
	d.settle(slot)
	slot.tries++
	d.leases++
	d.turn++
	s.served, w.used = d.turn, d.turn
	slot.state, slot.leaseID, slot.dispatchNs = leased, d.leases, now()
	w.leases[slot.leaseID] = slot
	message := slot.message()
	message.LeaseID, message.DispatchedNs = slot.leaseID, slot.dispatchNs
	s.superseded = 0
	var packet [ring.FrameBytes]byte
	message.Put(packet[:])
	if err := w.send(packet[:], nil); err != nil {
		d.drop(w, "send")
		return
	}
	d.arm(slot)
}
