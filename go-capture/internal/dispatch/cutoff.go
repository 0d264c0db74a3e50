// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"log/slog"
	"maps"
	"time"

	"visavis/capture/internal/ring"
	"visavis/capture/internal/updown"
)

const (
	hungUp  = "hang-up" // the worker went by itself
	overdue = "deadline"
	unread  = "send"
)

// namesMost bounds the workers that are told apart, those of the last hour at least. More are those of somebody who never takes the same
// name twice.
const (
	namesMost = 2 * ring.MaxWorkers
	namesFor  = time.Hour
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

// cutOffs is what was told of each worker, by name. The dispatcher's mutex guards it.
type cutOffs struct {
	now func() time.Time
	of  map[string]*toldOf
}

// toldOf is what was told of one worker.
type toldOf struct {
	*updown.Teller
	at time.Time // when it was last there or cut off
}

func newCutOffs(now func() time.Time) *cutOffs {
	return &cutOffs{now: now, of: map[string]*toldOf{}}
}

// back notes that a worker is there: when it was well for long, its next cut-off is news.
func (c *cutOffs) back(name string) {
	if one := c.of[name]; one != nil {
		one.at = c.now()
		one.Back()
	}
}

// news tells whether to say that a worker was cut off.
func (c *cutOffs) news(name, reason string) bool {
	one := c.named(name)
	one.at = c.now()
	return one.Lost(reason)
}

func (c *cutOffs) named(name string) *toldOf {
	if c.of[name] == nil && len(c.of) >= namesMost {
		maps.DeleteFunc(c.of, func(_ string, one *toldOf) bool { return c.now().Sub(one.at) >= namesFor })
		if len(c.of) >= namesMost {
			name = "" // all others together
		}
	}
	if c.of[name] == nil {
		c.of[name] = &toldOf{Teller: updown.New(c.now)}
	}
	return c.of[name]
}

// tell says that a worker was cut off, beside everything else: whoever reads the log may hang. One that is too slow comes back at once
// and may go on so for ever. The mutex is held.
func (d *Dispatcher) tell(w *worker, reason string) {
	if reason == hungUp || !d.cutOffs.news(w.name, reason) {
		return
	}
	go slog.Warn("worker cut off, it may come again", "worker", w.name, "model", w.model, "error", cutOff(reason))
}
