// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"math"
	"slices"

	"visavis/capture/internal/ring"
)

// lease is one slot in the hands of one worker.
type lease struct {
	id         uint64
	slot       *Slot
	worker     *worker
	weight     float64 // of the frame
	dispatchNs int64
	lateNs     int64 // from then on it takes longer than it should
	awaited    bool  // a client's picture waits for this worker because it is fast
}

// newLease puts the slot into the worker's hands. The mutex is held.
func (d *Dispatcher) newLease(slot *Slot, w *worker) *lease {
	d.leases++
	l := &lease{id: d.leases, slot: slot, worker: w, weight: slot.weight(), dispatchNs: now()}
	w.leases[l.id] = l
	slot.leases = append(slot.leases, l)
	l.lateNs = l.dispatchNs + max(int64(lateAfter*d.expectedNs(l)), leastLateNs)
	return l
}

// message is the FRAME that lends it.
func (l *lease) message() []byte {
	m := l.slot.message()
	m.LeaseID, m.DispatchedNs = l.id, l.dispatchNs
	packet := make([]byte, ring.FrameBytes)
	m.Put(packet)
	return packet
}

// giveBack takes the slot out of the worker's hands.
func (l *lease) giveBack() {
	delete(l.worker.leases, l.id)
	l.slot.leases = slices.DeleteFunc(l.slot.leases, func(other *lease) bool { return other == l })
}

// mostNs is how long the worker may hold it.
func (l *lease) mostNs() float64 {
	return l.weight * float64(l.slot.stream.dispatcher.options.LeaseMs) * 1e6
}

// overdueNs is when the worker loses its connection over it.
func (l *lease) overdueNs() int64 {
	return max(l.dispatchNs+int64(l.mostNs()), l.slot.stream.dispatcher.patientNs)
}

// expectedNs is how long the lease should take: its turn among the worker's own, or the whole batch in which it is inferred.
func (d *Dispatcher) expectedNs(l *lease) float64 {
	together := max(float64(len(l.worker.leases)), l.worker.batch)
	return together * l.weight * d.serviceNs(l.worker)
}

// serviceNs is the worker's time for a frame; that of the others while it is not known, and part of a lease before anything is.
func (d *Dispatcher) serviceNs(w *worker) float64 {
	if w.serviceNs > 0 {
		return w.serviceNs
	}
	sum, known := 0.0, 0.0
	for _, other := range d.workers {
		if other.serviceNs > 0 && !other.visits() {
			sum, known = sum+other.serviceNs, known+1
		}
	}
	if known > 0 {
		return sum / known
	}
	return float64(d.options.LeaseMs) * 1e6 / unknownPart
}

// finishNs is how long the worker will take until it has done one frame more than it holds. One that is late is not counted on.
func (w *worker) finishNs(at int64) float64 {
	rest := float64(max(w.restsUntilNs-at, 0))
	if len(w.leases) == 0 {
		return rest + w.serviceNs
	}
	begunNs := int64(math.MaxInt64)
	for _, l := range w.leases {
		if at >= l.lateNs {
			return math.Inf(1)
		}
		begunNs = min(begunNs, l.dispatchNs)
	}
	left := w.serviceNs - float64(at-max(begunNs, w.resultNs))
	return max(left, rest, 0) + float64(len(w.leases))*w.serviceNs
}
