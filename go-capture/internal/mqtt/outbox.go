// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"sync"

	"visavis/capture/internal/hub"
)

// outboxMost bounds the results of one camera that wait for the connection: two seconds at 30 frames a second.
const outboxMost = 60

// outbox holds the results that are to be sent, of which the newest win. What it lets go of is counted, so that a subscriber's sums stay exact; see docs/design/accounting.md.
type outbox struct {
	mu      sync.Mutex
	open    bool // connected; while not, only the newest result of each camera is kept
	results map[string]*lane
}

// lane is one camera's results. unsent is what the next message must answer for beside its own drops.
type lane struct {
	waiting []*hub.Result
	unsent  hub.Dropped
	lost    uint64 // inferred frames that were never sent, since the start
}

func newOutbox() *outbox {
	return &outbox{results: map[string]*lane{}}
}

func (o *outbox) lane(camera string) *lane {
	l, known := o.results[camera]
	if !known {
		l = &lane{}
		o.results[camera] = l
	}
	return l
}

// add takes a result without its picture.
func (o *outbox) add(r hub.Result) {
	r.Picture = nil
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.lane(r.Camera)
	l.waiting = append(l.waiting, &r)
	most := 1
	if o.open {
		most = outboxMost
	}
	for len(l.waiting) > most {
		l.forgo(l.waiting[0].Dropped)
		l.waiting = l.waiting[1:]
	}
}

// forgo counts one inferred frame that a newer one replaced before it was sent, and the drops it would have reported.
func (l *lane) forgo(drops hub.Dropped) {
	l.unsent = l.unsent.Plus(drops).Plus(hub.Dropped{Superseded: 1})
	l.lost++
}

// next takes the oldest result of some camera and the drops to send with it.
func (o *outbox) next() (*hub.Result, hub.Dropped) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.results {
		if len(l.waiting) == 0 {
			continue
		}
		r := l.waiting[0]
		l.waiting = l.waiting[1:]
		drops := r.Dropped.Plus(l.unsent)
		l.unsent = hub.Dropped{}
		return r, drops
	}
	return nil, hub.Dropped{}
}

// failed takes back a result that could not be written.
func (o *outbox) failed(camera string, drops hub.Dropped) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lane(camera).forgo(drops)
}

func (o *outbox) connected(open bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open = open
}

func (o *outbox) unsent() (frames uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.results {
		frames += l.lost
	}
	return frames
}

// size is the number of results that wait.
func (o *outbox) size() (results int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, l := range o.results {
		results += len(l.waiting)
	}
	return results
}
