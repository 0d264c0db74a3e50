// SPDX-License-Identifier: Apache-2.0

package dispatch

// A device that is too hot lets its workers rest after each frame, for as long as makes the frame's time its share of the whole.
// Frames that come meanwhile wait as they do for a busy worker, and give way to newer ones.

// SetShare is the part of their time, more than 0 and at most 1, in which workers may work from now on.
func (d *Dispatcher) SetShare(share float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rest = 1/min(max(share, 0.01), 1) - 1
	if d.rest > 0 {
		return
	}
	for _, w := range d.workers {
		w.restsUntilNs = 0
	}
	d.pump()
}

// sendToRest makes a worker rest for the frame that it has done. What it rests for several together adds up.
func (d *Dispatcher) sendToRest(w *worker, weight float64, at int64) {
	if d.rest > 0 && !w.visits() {
		w.restsUntilNs = max(w.restsUntilNs, at) + int64(d.rest*weight*w.serviceNs)
	}
}

// armRests makes sure that the timer comes when a worker has rested and something waits. The mutex is held.
func (d *Dispatcher) armRests(at int64) {
	if d.longestUnserved(false) == nil && d.longestUnserved(true) == nil {
		return
	}
	for _, w := range d.workers {
		if w.restsUntilNs > at {
			d.arm(w.restsUntilNs)
		}
	}
}
