// SPDX-License-Identifier: Apache-2.0

package dispatch

import "log/slog"

const (
	hungUp  = "hang-up" // the worker went by itself
	overdue = "deadline"
	unread  = "send"
)

// cutOff is why a connection ended that the daemon has closed, and what to do about it.
func cutOff(reason string) string {
	switch reason {
	case overdue:
		return "it held a frame for longer than worker.lease_ms: raise that where the model is slow; otherwise the worker hangs"
	case unread:
		return "it does not read what it is sent: it hangs, or is stopped"
	}
	return "what it sent breaks the protocol (" + reason + "): install worker and daemon from one release"
}

// tell says that a worker was cut off, beside everything else: whoever reads the log may hang. One that is too slow comes back at once
// and may go on so for ever. The mutex is held.
func (d *Dispatcher) tell(w *worker, reason string) {
	if reason == hungUp || !d.cutOffs.Lost(w.name+": "+reason) {
		return
	}
	go slog.Warn("worker cut off, it may come again", "worker", w.name, "model", w.model, "error", cutOff(reason))
}
