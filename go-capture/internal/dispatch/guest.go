// SPDX-License-Identifier: Apache-2.0

package dispatch

import "time"

// Capacity is how many workers are connected and take frames, and how long one of them takes for a frame on average, 0 if that is
// not known yet. Where there is none, one that left within the patience of who asks counts as one that comes back.
func (d *Dispatcher) Capacity(patience time.Duration) (ready int, service time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	sum, known := 0.0, 0
	for _, w := range d.workers {
		if w.credit == 0 || w.visits() {
			continue
		}
		ready++
		if w.serviceNs > 0 {
			sum, known = sum+w.serviceNs, known+1
		}
	}
	if ready == 0 && d.comesBack(now(), patience) {
		ready = 1
	}
	return ready, time.Duration(sum / float64(max(known, 1)))
}

// A worker says HELLO anew when its detector goes by another name, after TICK_S of silence in ring.py. A picture that comes meanwhile
// would rather wait than be refused, even if its client is in a hurry; and on a busy host the worker is not back sooner than a patient
// client wants to know. Who is away for longer than that starts anew, or is gone.
const backLeast, backMost = 500 * time.Millisecond, 2 * time.Second

// comesBack tells whether the last worker has left just now. The mutex is held.
func (d *Dispatcher) comesBack(at int64, patience time.Duration) bool {
	return d.leftNs > 0 && time.Duration(at-d.leftNs) < min(max(patience, backLeast), backMost)
}

// leaves remembers when a worker left, or said that it will take no more. The mutex is held.
func (d *Dispatcher) leaves(w *worker) {
	if !w.visits() && w.credit > 0 {
		d.leftNs = now()
	}
}

// Withdraw tells that nobody waits for a published frame any more. One that no worker has yet ends at once, as aborted; one that is
// lent ends with its result, and is not lent again when its worker dies. A frame that has ended, or that has another number by now,
// is left alone. Withdraw tells whether no worker ever had it.
func (s *Stream) Withdraw(seq uint64) (unlent bool) {
	s.dispatcher.mu.Lock()
	defer s.dispatcher.mu.Unlock()
	for _, slot := range s.slots {
		if slot.seq != seq {
			continue
		}
		unlent = slot.state == pending && slot.tries == 0
		slot.tries = s.spec.Tries
		s.unwait(slot)
		if slot.state == pending {
			s.account.Aborted++
			slot.end(Outcome{Fate: Aborted})
		}
	}
	return unlent
}
