// SPDX-License-Identifier: Apache-2.0

package event

import (
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// IDs makes ULIDs that always rise, also while the clock stands, jumps back or is far off. All cameras of a device share one.
type IDs struct {
	mu      sync.Mutex
	entropy *ulid.MonotonicEntropy
	lastMs  uint64
}

// NewIDs starts with the system's randomness.
func NewIDs() *IDs { return &IDs{entropy: ulid.Monotonic(rand.Reader, 0)} }

// GoOn lets ids go on above one of an earlier process, whose clock may have been ahead of ours; "" changes nothing.
func (s *IDs) GoOn(last string) error {
	if last == "" {
		return nil
	}
	parsed, err := ulid.ParseStrict(last)
	if err != nil {
		return fmt.Errorf("go on after the id %q: %w", last, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastMs = max(s.lastMs, min(parsed.Time()+1, ulid.MaxTime()))
	return nil
}

// Next is the next id. After the clock jumped back, ids go on from the latest time they had: their order is worth more than
// the time inside them, which events carry anyway.
func (s *IDs) Next(now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ms := uint64(min(max(now.UnixMilli(), 0), int64(ulid.MaxTime())))
	s.lastMs = max(s.lastMs, ms)
	id, err := ulid.New(s.lastMs, s.entropy)
	if err != nil { // 2^79 ids in one millisecond: the next one has room again
		s.lastMs++
		id = ulid.MustNew(s.lastMs, s.entropy)
	}
	return id.String()
}
