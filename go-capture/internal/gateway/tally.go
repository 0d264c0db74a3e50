// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"maps"
	"sync"
)

// outcomeAnswered stands beside the reasons of refusals.
const outcomeAnswered = "answered"

// Figures are the clients' pictures since the daemon began: Received = Answered + the sum of Refused + Open.
type Figures struct {
	Received, Answered uint64
	Refused            map[string]uint64 // by reason, all reasons
	Open               uint64            // being read, waiting, decoded or inferred now
	Waiting            int               // of these in the queue
	Streams            int
}

// tally counts each picture when it begins to come, or has come whole over a stream, and once more when its client is told.
type tally struct {
	mu       sync.Mutex
	received uint64
	ended    map[string]uint64
	streams  int
}

func newTally() *tally {
	t := &tally{ended: map[string]uint64{outcomeAnswered: 0}}
	for _, reason := range reasons {
		t.ended[reason] = 0
	}
	return t
}

func (t *tally) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.received++
}

func (t *tally) end(outcome string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended[outcome]++
}

// refused ends a picture that an error kept from an answer, and returns what its client is told.
func (t *tally) refused(err error) Refusal {
	told := refusalOf(err)
	t.end(told.Reason)
	return told
}

// stream counts a stream that is open until the function is called.
func (t *tally) stream() (closed func()) {
	add := func(n int) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.streams += n
	}
	add(1)
	return func() { add(-1) }
}

// lengths are how many pictures wait, and how many have a place, in all lanes.
func (g *Gateway) lengths() (waiting, busy int) {
	for _, l := range g.lanes() {
		more, used := l.queue.lengths()
		waiting, busy = waiting+more, busy+used
	}
	return waiting, busy
}

// Figures are those of one instant.
func (g *Gateway) Figures() Figures {
	waiting, _ := g.lengths()
	t := g.tally
	t.mu.Lock()
	defer t.mu.Unlock()
	f := Figures{Received: t.received, Refused: maps.Clone(t.ended), Answered: t.ended[outcomeAnswered], Open: t.received, Waiting: waiting,
		Streams: t.streams}
	delete(f.Refused, outcomeAnswered)
	for _, n := range t.ended {
		f.Open -= n
	}
	return f
}
