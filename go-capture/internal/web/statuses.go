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

// statuses keeps the newest status.
type statuses struct {
	fresh   *rate.Limiter
	oldMost time.Duration // of one that is shared
	making  sync.Mutex    // so that an older one never replaces a newer one
	newest  atomic.Pointer[madeStatus]
}

// madeStatus says what was true at a time. Nobody changes it.
type madeStatus struct {
	status Status
	text   func() (json.RawMessage, error) // as it is sent to those who may see all, written once
	at     time.Time
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
	made := s.recentStatus()
	if who.SeesAll() {
		return made.text()
	}
	return json.Marshal(s.statusFor(who, made.status))
}

// recentStatus is what is true now, or of a flood what was a moment ago. Whoever asks, also without a login, shares what is made.
func (s *Server) recentStatus() *madeStatus {
	asked := time.Now()
	if !s.statuses.fresh.Allow() {
		if shared := s.statuses.since(asked.Add(-s.statuses.oldMost)); shared != nil {
			return shared
		}
	}
	s.statuses.making.Lock()
	defer s.statuses.making.Unlock()
	if shared := s.statuses.since(asked); shared != nil { // made while this one waited
		return shared
	}
	made := &madeStatus{at: time.Now(), status: s.view.Status()}
	made.text = sync.OnceValues(func() (json.RawMessage, error) { return json.Marshal(s.statusFor(auth.Everyone(), made.status)) })
	s.statuses.newest.Store(made)
	return made
}
