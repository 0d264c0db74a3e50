// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"slices"
	"sync"
)

// line is where pictures wait for one of the ring's places. Clients take turns, and each client's own pictures keep their order.
// When the line is full, the newest picture of the client with the most waiting gives way to one of a client with fewer.
type line struct {
	perClient int
	room      func(busy int) int // how many may wait while that many places are in use

	mu      sync.Mutex
	places  int
	busy    int // places in use; more than there are for a moment after workers have gone
	waiting int
	queues  map[sender][]*ticket
	turns   []sender // clients with a queue, the next to be served first
}

// ticket is one picture's place in the line. Its verdict comes once: nil when its turn has come, else the refusal.
type ticket struct {
	client  sender
	verdict chan error
	decided bool // guarded by the line's mutex
}

func newLine(places, perClient int, room func(busy int) int) *line {
	return &line{perClient: perClient, room: room, places: places, queues: map[sender][]*ticket{}}
}

// enter gives a ticket, or nothing when there is no room. Whoever has a ticket calls leave, or, once its turn has come, free.
func (l *line) enter(client sender) (*ticket, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := &ticket{client: client, verdict: make(chan error, 1)}
	if l.busy < l.places {
		l.busy++
		t.decide(nil)
		return t, true
	}
	if !l.mayWait(client) {
		return nil, false
	}
	if l.full() {
		l.evict()
	}
	if len(l.queues[client]) == 0 {
		l.turns = append(l.turns, client)
	}
	l.queues[client] = append(l.queues[client], t)
	l.waiting++
	return t, true
}

// open tells whether enter would give a ticket now.
func (l *line) open(client sender) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy < l.places || l.mayWait(client)
}

func (l *line) full() bool { return l.waiting >= l.room(l.busy) }

func (l *line) mayWait(client sender) bool {
	own := len(l.queues[client])
	if own >= l.perClient {
		return false
	}
	return !l.full() || own+1 < len(l.queues[l.greediest()])
}

// greediest is the client with the most waiting; among equals the one whose turn is last.
func (l *line) greediest() (most sender) {
	for _, client := range l.turns {
		if len(l.queues[client]) >= len(l.queues[most]) {
			most = client
		}
	}
	return most
}

// evict refuses the newest picture of the greediest client.
func (l *line) evict() {
	queue := l.queues[l.greediest()]
	newest := queue[len(queue)-1]
	l.remove(newest)
	newest.decide(errEvicted)
}

func (t *ticket) decide(verdict error) {
	t.decided = true
	t.verdict <- verdict
}

// leave takes a ticket back whose owner has gone. It returns whether its turn had come, so that the place is still to be freed.
func (l *line) leave(t *ticket) (held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !t.decided {
		l.remove(t)
		return false
	}
	select {
	case verdict := <-t.verdict:
		return verdict == nil
	default:
		return false
	}
}

// free gives a place to the client whose turn it is. When workers have become slower, who would come too late is told so now.
func (l *line) free() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.busy--
	l.serve()
	for l.waiting > 0 && l.waiting > l.room(l.busy) {
		l.evict()
	}
}

// resize sets how many places there are, since workers come and go.
func (l *line) resize(places int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.places = places
	l.serve()
}

// serve gives places to those whose turn it is while there are any.
func (l *line) serve() {
	for l.waiting > 0 && l.busy < l.places {
		client := l.turns[0]
		first := l.queues[client][0]
		l.remove(first)
		if i := slices.Index(l.turns, client); i >= 0 {
			l.turns = append(slices.Delete(l.turns, i, i+1), client)
		}
		l.busy++
		first.decide(nil)
	}
}

// remove takes a waiting ticket out; a client without any has no turn.
func (l *line) remove(t *ticket) {
	queue := l.queues[t.client]
	i := slices.Index(queue, t)
	queue = slices.Delete(queue, i, i+1)
	l.waiting--
	if len(queue) > 0 {
		l.queues[t.client] = queue
		return
	}
	delete(l.queues, t.client)
	l.turns = slices.DeleteFunc(l.turns, func(client sender) bool { return client == t.client })
}

// lengths are how many pictures wait, and how many have a place.
func (l *line) lengths() (waiting, busy int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting, l.busy
}
