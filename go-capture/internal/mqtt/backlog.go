// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"sync"

	"visavis/capture/internal/hub"
)

// backlogMost bounds the results of one camera that wait for the connection: two seconds at 30 frames a second.
const backlogMost = 60

// backlog holds the results that are to be sent, of which the newest win. What it lets go of is counted, so that a subscriber's sums stay exact; see docs/design/accounting.md.
type backlog struct {
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

func newBacklog() *backlog {
	return &backlog{results: map[string]*lane{}}
}

func (b *backlog) lane(camera string) *lane {
	l, known := b.results[camera]
	if !known {
		l = &lane{}
		b.results[camera] = l
	}
	return l
}

// add takes a result without its picture.
func (b *backlog) add(r hub.Result) {
	r.Picture = nil
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.lane(r.Camera)
	l.waiting = append(l.waiting, &r)
	most := 1
	if b.open {
		most = backlogMost
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
func (b *backlog) next() (*hub.Result, hub.Dropped) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.results {
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
func (b *backlog) failed(camera string, drops hub.Dropped) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lane(camera).forgo(drops)
}

func (b *backlog) connected(open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = open
}

func (b *backlog) unsent() (frames uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.results {
		frames += l.lost
	}
	return frames
}

// size is the number of results that wait.
func (b *backlog) size() (results int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, l := range b.results {
		results += len(l.waiting)
	}
	return results
}
