// SPDX-License-Identifier: Apache-2.0

package dispatch

// A device that is too hot lets its workers rest after each frame, for as long as makes the frame's time its share of the whole.
// Frames that come meanwhile wait as they do for a busy worker, and give way to newer ones.
//
// A client's picture may be the work of a dozen frames, and cameras would see nothing for as long as all of its rest takes. So for them it is
// a debt: between their frames a worker rests at most twice as long as one of them wants, until all is made up for. What it works meanwhile
// counts as well. Clients wait for that.

// SetShare is the part of their time, more than 0 and at most 1, in which workers may work from now on.
func (d *Dispatcher) SetShare(share float64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rest = 1/min(max(share, 0.01), 1) - 1
	if d.rest > 0 {
		return
	}
	for _, w := range d.workers {
		w.restsUntilNs, w.forCamerasNs = 0, 0
	}
	d.pump()
}

// sendToRest makes a worker rest for the frame that it has done. What it rests for several together adds up.
func (d *Dispatcher) sendToRest(w *worker, weight float64, at int64) {
	if d.rest <= 0 || w.visits() {
		return
	}
	usual := d.rest * w.serviceNs
	w.restsUntilNs = max(w.restsUntilNs, at) + int64(usual*weight)
	w.forCamerasNs = min(w.restsUntilNs, max(w.forCamerasNs, at)+int64(2*usual))
}

// armRests makes sure that the timer comes when a worker has rested and something waits. The mutex is held.
func (d *Dispatcher) armRests(at int64) {
	if d.longestUnserved(false) == nil && d.longestUnserved(true) == nil {
		return
	}
	for _, w := range d.workers {
		for _, rested := range []int64{w.forCamerasNs, w.restsUntilNs} {
			if rested > at {
				d.arm(rested)
			}
		}
	}
}
