// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"slices"
	"sync"
)

// fairQueue is where pictures wait for one of the ring's places. Clients take turns, and each client's own pictures keep their order. Who
// has many addresses is one client (sender.holder). When it is full, the newest picture of the client with the most waiting gives way to
// one of a client with fewer.
type fairQueue struct {
	perClient int
	room      func(busy int) int // how many may wait while that many places are in use

	mu      sync.Mutex
	places  int
	busy    int // places in use; more than there are for a moment after workers have gone
	waiting int
	queues  map[sender][]*ticket
	turns   []sender // clients with a queue, the next to be served first
}

// ticket is one picture's place in the queue. Its verdict comes once: nil when its turn has come, else the refusal.
type ticket struct {
	client  sender // a holder
	verdict chan error
	decided bool // guarded by the queue's mutex
}

func newFairQueue(places, perClient int, room func(busy int) int) *fairQueue {
	return &fairQueue{perClient: perClient, room: room, places: places, queues: map[sender][]*ticket{}}
}

// enter gives a ticket, or nothing when there is no room. Whoever has a ticket calls leave, or, once its turn has come, free.
func (q *fairQueue) enter(client sender) (*ticket, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	client = client.holder()
	t := &ticket{client: client, verdict: make(chan error, 1)}
	if q.busy < q.places {
		q.busy++
		t.decide(nil)
		return t, true
	}
	if !q.mayWait(client) {
		return nil, false
	}
	if q.full() {
		q.evict()
	}
	if len(q.queues[client]) == 0 {
		q.turns = append(q.turns, client)
	}
	q.queues[client] = append(q.queues[client], t)
	q.waiting++
	return t, true
}

// open tells whether enter would give a ticket now.
func (q *fairQueue) open(client sender) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.busy < q.places || q.mayWait(client.holder())
}

func (q *fairQueue) full() bool { return q.waiting >= q.room(q.busy) }

func (q *fairQueue) mayWait(client sender) bool {
	own := len(q.queues[client])
	if own >= q.perClient {
		return false
	}
	return !q.full() || own+1 < len(q.queues[q.greediest()])
}

// greediest is the client with the most waiting; among equals the one whose turn is last.
func (q *fairQueue) greediest() (most sender) {
	for _, client := range q.turns {
		if len(q.queues[client]) >= len(q.queues[most]) {
			most = client
		}
	}
	return most
}

// evict refuses the newest picture of the greediest client.
func (q *fairQueue) evict() {
	own := q.queues[q.greediest()]
	newest := own[len(own)-1]
	q.remove(newest)
	newest.decide(errEvicted)
}

func (t *ticket) decide(verdict error) {
	t.decided = true
	t.verdict <- verdict
}

// leave takes a ticket back whose owner has gone. It returns whether its turn had come, so that the place is still to be freed.
func (q *fairQueue) leave(t *ticket) (held bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !t.decided {
		q.remove(t)
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
func (q *fairQueue) free() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
	q.serve()
	for q.waiting > 0 && q.waiting > q.room(q.busy) {
		q.evict()
	}
}

// resize sets how many places there are, since workers come and go.
func (q *fairQueue) resize(places int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.places = places
	q.serve()
}

// serve gives places to those whose turn it is while there are any.
func (q *fairQueue) serve() {
	for q.waiting > 0 && q.busy < q.places {
		client := q.turns[0]
		first := q.queues[client][0]
		q.remove(first)
		if i := slices.Index(q.turns, client); i >= 0 {
			q.turns = append(slices.Delete(q.turns, i, i+1), client)
		}
		q.busy++
		first.decide(nil)
	}
}

// remove takes a waiting ticket out; a client without any has no turn.
func (q *fairQueue) remove(t *ticket) {
	own := q.queues[t.client]
	i := slices.Index(own, t)
	own = slices.Delete(own, i, i+1)
	q.waiting--
	if len(own) > 0 {
		q.queues[t.client] = own
		return
	}
	delete(q.queues, t.client)
	q.turns = slices.DeleteFunc(q.turns, func(client sender) bool { return client == t.client })
}

// lengths are how many pictures wait, and how many have a place.
func (q *fairQueue) lengths() (waiting, busy int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting, q.busy
}
