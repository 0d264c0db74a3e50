// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"sync"

	"golang.org/x/sync/semaphore"

	"visavis/capture/internal/clientnet"
	"visavis/capture/internal/gateway"
)

// shares bounds what each caller holds of something; who holds nothing takes no memory.
type shares struct {
	most int64
	mu   sync.Mutex
	of   map[gateway.Caller]*share
}

// share is one caller's.
type share struct {
	*semaphore.Weighted
	users int // calls that hold a part of it, or wait for one
}

// join returns the caller's share; leave must follow.
func (s *shares) join(who gateway.Caller) (own *share, leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own = s.of[who]
	if own == nil {
		own = &share{Weighted: semaphore.NewWeighted(s.most)}
		s.of[who] = own
	}
	own.users++
	return own, func() { s.leave(who, own) }
}

func (s *shares) leave(who gateway.Caller, own *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.users--; own.users == 0 {
		delete(s.of, who)
	}
}

// sharer is who has a share: a login wherever it calls from, and without one an address.
func sharer(of gateway.Caller) gateway.Caller {
	if of.Account != "" {
		return gateway.Caller{Account: of.Account}
	}
	return gateway.Caller{Address: clientnet.Of(of.Address)}
}
