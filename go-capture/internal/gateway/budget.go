// SPDX-License-Identifier: Apache-2.0

package gateway

import "sync"

// greed is how many times as much as it leaves free a client may hold. One that takes all it can leaves a quarter to others, the next
// such a quarter of that: a small picture finds room beside large ones. The largest picture in a tensor in JSON needs more than two.
const greed = 3

// budget is memory that clients share.
type budget struct {
	mu   sync.Mutex
	free int64 // bytes
	held map[sender]int64
}

func newBudget(bytes int64) *budget { return &budget{free: bytes, held: map[sender]int64{}} }

// share is what one client may take of a budget.
type share struct {
	budget *budget
	client sender
}

func (b *budget) of(client sender) share { return share{b, client.holder()} }

func (s share) take(bytes int64) bool {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	if s.budget.held[s.client]+bytes > greed*(s.budget.free-bytes) {
		return false
	}
	s.budget.free -= bytes
	s.budget.held[s.client] += bytes
	return true
}

func (s share) giveBack(bytes int64) {
	s.budget.mu.Lock()
	defer s.budget.mu.Unlock()
	s.budget.free += bytes
	s.budget.held[s.client] -= bytes
	if s.budget.held[s.client] == 0 {
		delete(s.budget.held, s.client)
	}
}
