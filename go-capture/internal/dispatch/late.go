// SPDX-License-Identifier: Apache-2.0

package dispatch

// A client waits for its picture, and nothing newer comes. So one that is late at its worker is lent to a second one too, once; the
// first result is the answer. The slot stays taken until both have given it back. A camera's frame is left: a newer one comes.
const (
	lateAfter   = 1.5        // times what a lease should take
	leastLateNs = 10_000_000 // service times of a few ms scatter more
	unknownPart = 12         // of a lease's deadline is what a frame should take before any was measured

	// Second leases are bounded, so that a machine on which everything is slow does not do everything twice.
	mostSpare   = 10  // at once
	sparePerOne = 0.1 // of the results
)

// save adds to the second leases that are left.
func (d *Dispatcher) save() { d.spare = min(d.spare+sparePerOne, mostSpare) }

// lendLateAgain puts pictures that are late in front of those that wait. The mutex is held.
func (d *Dispatcher) lendLateAgain(at int64) {
	left := d.spare - d.promised()
	for _, w := range d.workers {
		for _, l := range w.leases {
			if at >= l.lateNs && left >= 1 && l.slot.mayBeLentAgain() {
				l.slot.state = late
				l.slot.stream.waitInFront(l.slot)
				left--
			}
		}
	}
}

// promised counts the second leases that are still to be made.
func (d *Dispatcher) promised() (n float64) {
	for _, s := range d.streams {
		for _, slot := range s.pending {
			if slot.state == late {
				n++
			}
		}
	}
	return n
}

// mayBeLentAgain tells whether the frame has a second try, and only one worker has it.
func (s *Slot) mayBeLentAgain() bool {
	return s.state == leased && len(s.leases) == 1 && s.tries < s.stream.spec.Tries && !s.stream.retired
}

// goesOn tells whether a frame whose worker has died need not end: another one has it or may get it, or it has ended already.
func (s *Slot) goesOn() bool {
	if s.state == spent {
		s.release()
		return true
	}
	if s.elsewhere() {
		return true
	}
	if s.tries >= s.stream.spec.Tries || s.stream.retired {
		return false
	}
	s.state = pending
	s.stream.waitInFront(s)
	return true
}

// elsewhere tells whether a frame that a worker gave back is still with another one, or waits for one.
func (s *Slot) elsewhere() bool {
	if s.state == late {
		s.state = pending
	}
	return s.state == pending || len(s.leases) > 0
}

func (s *Stream) waitInFront(slot *Slot) { s.pending = append([]*Slot{slot}, s.pending...) }

// unwait takes a slot out of those that wait, if it is among them.
func (s *Stream) unwait(slot *Slot) {
	for i, other := range s.pending {
		if other == slot {
			s.pending = append(s.pending[:i], s.pending[i+1:]...)
			break
		}
	}
	if slot.state == late {
		slot.state = leased
	}
}

// heldBy tells whether the worker has the frame already.
func (s *Slot) heldBy(w *worker) bool {
	for _, l := range s.leases {
		if l.worker == w {
			return true
		}
	}
	return false
}
