// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/json"
	"sync"
	"sync/atomic"

	"golang.org/x/time/rate"

	"visavis/capture/internal/auth"
)

// How many statuses are made in a second, and at once. Making one takes longer than answering a request does: of a flood, most
// get the one that was made some milliseconds before.
const (
	statusesPerSecond = 100
	statusesBurst     = 50
)

// statuses keeps the newest status as it is sent to those who may see all.
type statuses struct {
	fresh  *rate.Limiter
	making sync.Mutex // so that an older one never replaces a newer one
	newest atomic.Pointer[json.RawMessage]
}

func newStatuses() *statuses {
	return &statuses{fresh: rate.NewLimiter(statusesPerSecond, statusesBurst)}
}

// statusText is the status that somebody may see, as JSON.
func (s *Server) statusText(who auth.Identity) (json.RawMessage, error) {
	if !who.SeesAll() {
		return json.Marshal(s.fullStatus(who))
	}
	if newest := s.statuses.newest.Load(); newest != nil && !s.statuses.fresh.Allow() {
		return *newest, nil
	}
	s.statuses.making.Lock()
	defer s.statuses.making.Unlock()
	made, err := json.Marshal(s.fullStatus(who))
	if err != nil {
		return nil, err
	}
	text := json.RawMessage(made)
	s.statuses.newest.Store(&text)
	return text, nil
}
