// SPDX-License-Identifier: Apache-2.0

// Package backoff waits between tries: soon at first, then longer, never in step with others.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff is the wait before the next try; the zero value is not usable, call New.
type Backoff struct {
	first, most, next time.Duration
}

// New starts at `first` and doubles up to `most`.
func New(first, most time.Duration) *Backoff {
	return &Backoff{first: first, most: most, next: first}
}

// Reset makes the next wait the first one again.
func (b *Backoff) Reset() { b.next = b.first }

// Ran takes how long it went well, and makes the next wait the first one again if that was long enough: what always ends soon is tried
// ever less often. It tells whether it was.
func (b *Backoff) Ran(long time.Duration) bool {
	if long < b.most {
		return false
	}
	b.Reset()
	return true
}

// Wait sleeps for the next interval, half of it by chance, and reports false when ctx ended meanwhile.
func (b *Backoff) Wait(ctx context.Context) bool {
	timer := time.NewTimer(b.Next())
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Next returns the interval to wait now and doubles the one after it.
func (b *Backoff) Next() time.Duration {
	half := b.next / 2
	interval := half + rand.N(half+1)
	b.next = min(2*b.next, b.most)
	return interval
}
