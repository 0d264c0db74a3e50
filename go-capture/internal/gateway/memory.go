// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"slices"
	"sync"
)

// fairMemory is memory that whoever finds none of waits for. Clients take turns (sender.holder), so that one client's many large pictures
// hold another's small one up for one picture each time, and not for all of them. Whose turn it is goes first, however much it needs: small
// pictures that went past a large one could keep it waiting for ever.
type fairMemory struct {
	mu     sync.Mutex
	free   int64 // bytes
	claims map[sender][]*claim
	turns  []sender // clients that wait, the next to be served first
}

// claim is memory that somebody waits for. Granted is closed when it is theirs.
type claim struct {
	bytes   int64
	granted chan struct{}
}

func newFairMemory(bytes int64) *fairMemory {
	return &fairMemory{free: bytes, claims: map[sender][]*claim{}}
}

// take waits until the bytes are the client's, no more than there are in all; giveBack frees them. It fails as the context does.
func (m *fairMemory) take(ctx context.Context, client sender, bytes int64) error {
	c := m.ask(client.holder(), bytes)
	select {
	case <-c.granted:
		return nil
	case <-ctx.Done():
		m.leave(client.holder(), c)
		return ctx.Err()
	}
}

func (m *fairMemory) giveBack(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free += bytes
	m.serve()
}

func (m *fairMemory) ask(client sender, bytes int64) *claim {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &claim{bytes, make(chan struct{})}
	if len(m.claims[client]) == 0 {
		m.turns = append(m.turns, client)
	}
	m.claims[client] = append(m.claims[client], c)
	m.serve()
	return c
}

// leave takes a claim back, granted or not. Those behind it may fit now.
func (m *fairMemory) leave(client sender, c *claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-c.granted:
		m.free += c.bytes
	default:
		m.remove(client, c)
	}
	m.serve()
}

// serve grants what is free to those whose turn it is.
func (m *fairMemory) serve() {
	for len(m.turns) > 0 {
		client := m.turns[0]
		first := m.claims[client][0]
		if first.bytes > m.free {
			return
		}
		m.free -= first.bytes
		close(first.granted)
		m.remove(client, first)
		if len(m.claims[client]) > 0 {
			m.turns = append(m.turns[1:], client)
		}
	}
}

// remove takes a claim out of its client's; a client without any has no turn.
func (m *fairMemory) remove(client sender, c *claim) {
	m.claims[client] = slices.DeleteFunc(m.claims[client], func(other *claim) bool { return other == c })
	if len(m.claims[client]) == 0 {
		delete(m.claims, client)
		m.turns = slices.DeleteFunc(m.turns, func(waits sender) bool { return waits == client })
	}
}
