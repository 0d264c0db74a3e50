// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"visavis/capture/internal/auth"
)

// How many statuses are made in a second, and at once. Making one takes longer than answering a request does: of a flood, most
// get one that was made some milliseconds before, and none that is older than statusOldMost.
const (
	statusesPerSecond = 100
	statusesBurst     = 50
	statusOldMost     = 100 * time.Millisecond
)

// statuses keeps the newest status as it is sent to those who may see all.
type statuses struct {
	fresh   *rate.Limiter
	oldMost time.Duration // of one that is shared
	making  sync.Mutex    // so that an older one never replaces a newer one
	newest  atomic.Pointer[madeStatus]
}

// madeStatus says what was true at a time.
type madeStatus struct {
	text json.RawMessage
	at   time.Time
}

func newStatuses() *statuses {
	return &statuses{fresh: rate.NewLimiter(statusesPerSecond, statusesBurst), oldMost: statusOldMost}
}

// since is the newest status; nil if that is from before the time.
func (s *statuses) since(at time.Time) *madeStatus {
	newest := s.newest.Load()
	if newest == nil || newest.at.Before(at) {
		return nil
	}
	return newest
}

// statusText is the status that somebody may see, as JSON.
func (s *Server) statusText(who auth.Identity) (json.RawMessage, error) {
	if !who.SeesAll() {
		return json.Marshal(s.fullStatus(who))
	}
	asked := time.Now()
	if !s.statuses.fresh.Allow() {
		if shared := s.statuses.since(asked.Add(-s.statuses.oldMost)); shared != nil {
			return shared.text, nil
		}
	}
	s.statuses.making.Lock()
	defer s.statuses.making.Unlock()
	if shared := s.statuses.since(asked); shared != nil { // made while this one waited
		return shared.text, nil
	}
	at := time.Now()
	text, err := json.Marshal(s.fullStatus(who))
	if err != nil {
		return nil, err
	}
	s.statuses.newest.Store(&madeStatus{text: text, at: at})
	return text, nil
}
