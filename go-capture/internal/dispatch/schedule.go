// SPDX-License-Identifier: Apache-2.0

package dispatch

import "visavis/capture/internal/frame"

// tie is how far expected finish times may differ and still count as equal.
const tie = 1.15

const defaultGuestShare = 0.5

// forgotten is after how many frames of others a worker is tried again, however slow it was.
const forgotten = 64

// now is on the clock that workers share.
func now() int64 { return frame.MonotonicNs() }

// pump lends waiting frames while there is a worker for them. The mutex is held.
func (d *Dispatcher) pump() {
	for {
		at := now()
		slot, w := d.next(at)
		if slot == nil {
			if d.rest > 0 {
				d.armRests(at)
			}
			return
		}
		d.lend(slot, w)
	}
}

// next is the frame to lend now, and the worker that gets it. A visitor asks seldom and is served first: being slower than the workers
// it would never get one otherwise.
func (d *Dispatcher) next(at int64) (*Slot, *worker) {
	if s, visitor := d.longestUnserved(false), d.readyVisitor(at); s != nil && visitor != nil {
		return s.pending[0], visitor
	}
	if !d.anyReady(at) {
		return nil, nil
	}
	first := d.nextStream()
	if first == nil {
		return nil, nil
	}
	if slot, w := d.match(first, at); w != nil {
		return slot, w
	}
	if other := d.longestUnserved(!first.spec.Guest); other != nil {
		return d.match(other, at)
	}
	return nil, nil
}

func (d *Dispatcher) anyReady(at int64) bool {
	for _, w := range d.workers {
		if !w.visits() && w.ready(at) {
			return true
		}
	}
	return false
}

// match is the oldest frame of a stream that has a worker to go to.
func (d *Dispatcher) match(s *Stream, at int64) (*Slot, *worker) {
	for _, slot := range s.pending {
		if w := d.nextWorker(slot, at); w != nil {
			return slot, w
		}
	}
	return nil, nil
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

// readyVisitor is one that asks for a camera's frame.
func (d *Dispatcher) readyVisitor(at int64) *worker {
	for _, w := range d.workers {
		if w.visits() && w.ready(at) {
			return w
		}
	}
	return nil
}

// nextWorker is the one expected to finish first; among nearly equal ones the least recently used. A client's picture waits for a busy
// one that will still be faster than those that are free: then there is none.
func (d *Dispatcher) nextWorker(slot *Slot, at int64) *worker {
	least := -1.0
	for _, w := range d.workers {
		if finish := d.promiseNs(w, at); d.mayTake(w, slot, at) && (least < 0 || finish < least) {
			least = finish
		}
	}
	var best *worker
	for _, w := range d.workers {
		if d.mayTake(w, slot, at) && d.promiseNs(w, at) <= least*tie && (best == nil || w.used < best.used) {
			best = w
		}
	}
	if best == nil || d.fasterSoon(slot, least, at) {
		return nil
	}
	return best
}

func (d *Dispatcher) mayTake(w *worker, slot *Slot, at int64) bool {
	return !w.visits() && w.ready(at) && (!slot.stream.spec.Guest || w.restsUntilNs <= at) && !slot.heldBy(w)
}

// promiseNs is when a worker is expected to finish. One that has had nothing for long is tried, since it may have become faster.
func (d *Dispatcher) promiseNs(w *worker, at int64) float64 {
	if len(w.leases) == 0 && d.turn-w.used > forgotten {
		return 0
	}
	return w.finishNs(at)
}

// fasterSoon tells whether a busy worker is expected to do all that waits in front of a client's picture, and the picture, before a free
// one would have done it alone.
func (d *Dispatcher) fasterSoon(slot *Slot, leastNs float64, at int64) bool {
	if !slot.stream.spec.Guest {
		return false
	}
	for _, w := range d.workers {
		if w.visits() || w.ready(at) || w.gone || w.credit == 0 || w.serviceNs == 0 || slot.heldBy(w) {
			continue
		}
		ahead := float64(len(slot.stream.pending)-1) * w.serviceNs
		if (w.finishNs(at)+ahead)*tie < leastNs {
			d.await(w)
			return true
		}
	}
	return false
}

// await makes sure that the timer comes if the worker does not finish when it should.
func (d *Dispatcher) await(w *worker) {
	for _, l := range w.leases {
		l.awaited = true
		d.arm(l.lateNs)
	}
}

// lend sends a waiting frame. One that cannot be sent goes on waiting: no worker has had it.
func (d *Dispatcher) lend(slot *Slot, w *worker) {
	l := d.newLease(slot, w)
	if err := w.send(l.message(), nil); err != nil {
		l.giveBack()
		d.unsent(w, err)
		return
	}
	d.lent(l)
	d.arm(l.overdueNs())
	if slot.mayBeLentAgain() {
		d.arm(l.lateNs)
	}
}

// lent keeps the books of a frame that a worker has now.
func (d *Dispatcher) lent(l *lease) {
	slot, s := l.slot, l.slot.stream
	if slot.state == late {
		d.spare--
	}
	s.unwait(slot)
	d.settle(slot)
	slot.tries++
	if slot.tries > 1 {
		s.account.LentAgain++
	}
	d.turn++
	s.served, l.worker.used = d.turn, d.turn
	slot.state, s.superseded = leased, 0
}
