// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"slices"
	"time"
)

// Awaited are the streams of which a worker has a frame, or one waits while a worker is there to get it, each with how long a worker may
// hold a frame. A worker that stalls with the frame of one stream keeps those of all others waiting.
func (d *Dispatcher) Awaited() map[string]time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	serves := slices.ContainsFunc(d.workers, func(w *worker) bool { return !w.visits() && w.credit > 0 })
	awaited := map[string]time.Duration{}
	for _, s := range d.streams {
		if serves && len(s.pending) > 0 || slices.ContainsFunc(s.slots, func(one *Slot) bool { return one.state == leased }) {
			awaited[s.spec.Name] = time.Duration(d.options.LeaseMs) * time.Millisecond
		}
	}
	return awaited
}
