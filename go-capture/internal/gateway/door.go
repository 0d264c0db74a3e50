// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"sync"
	"time"
)

// restart is when a client is told to come again while the daemon ends: a service manager starts it anew, or another one is there.
const restart = time.Second

// door counts the clients that are being served, and lets no new one in once it is closed.
type door struct {
	closing chan struct{} // closed when nobody is let in any more
	empty   chan struct{} // closed when the last one has left after that

	mu     sync.Mutex
	inside int
	closed bool
}

func newDoor() *door { return &door{closing: make(chan struct{}), empty: make(chan struct{})} }

// enter tells whether a client may be served. Whoever enters leaves.
func (d *door) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.inside++
	return true
}

func (d *door) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inside--
	if d.closed && d.inside == 0 {
		close(d.empty)
	}
}

func (d *door) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.closed = true
	close(d.closing)
	if d.inside == 0 {
		close(d.empty)
	}
}

// isClosing tells whether the daemon ends.
func (d *door) isClosing() bool {
	select {
	case <-d.closing:
		return true
	default:
		return false
	}
}

// Drain lets no new client in, answers those that are there, closes their WebSockets, and returns when the last has gone, or after so
// long.
func (g *Gateway) Drain(most time.Duration) {
	g.door.close()
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-g.door.empty:
	case <-timer.C:
	}
}

// Stopping tells whether Drain was called.
func (g *Gateway) Stopping() bool { return g.door.isClosing() }

// turnAway refuses a client because the daemon ends. Its connection ends too: the next one finds who serves then.
func (g *Gateway) turnAway(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	Stopping().problem().Write(w, r)
}

// Stopping refuses because the daemon ends.
func Stopping() Refusal {
	return Refusal{Status: http.StatusServiceUnavailable, Title: "The device stops", Reason: reasonStopping, RetryAfter: restart,
		Detail: "It answers what it has and takes nothing new: send it again after Retry-After."}
}
