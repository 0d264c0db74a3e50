// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"cmp"
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// bucketsMost bounds the memory of a throttle, whoever asks.
const bucketsMost = 4096

// Limits of tries. A flood from one address waits by itself; slow guessing from many addresses runs into the name's limit.
var (
	perAddress = allowance{burst: 5, each: 12 * time.Second}
	perName    = allowance{burst: 20, each: 3 * time.Minute}
	perToken   = allowance{burst: 20, each: 3 * time.Second}
)

// allowance is a burst of tries, and after it one each so often.
type allowance struct {
	burst int
	each  time.Duration
}

// throttle counts tries by a key, such as an address.
type throttle struct {
	allowance
	buckets map[string]*rate.Limiter
}

func newThrottle(a allowance) *throttle {
	return &throttle{allowance: a, buckets: map[string]*rate.Limiter{}}
}

// take counts a try and returns how long it must wait; 0 lets it go on.
func (t *throttle) take(key string, now time.Time) time.Duration {
	try := t.bucket(key, now).ReserveN(now, 1)
	wait := try.DelayFrom(now)
	if wait > 0 {
		try.CancelAt(now) // whoever is refused does not wait longer for having asked
	}
	return wait
}

// owe counts a try also where none is left.
func (t *throttle) owe(key string, now time.Time) { t.bucket(key, now).ReserveN(now, 1) }

func (t *throttle) bucket(key string, now time.Time) *rate.Limiter {
	bucket := t.buckets[key]
	if bucket == nil {
		t.makeRoom(now)
		bucket = rate.NewLimiter(rate.Every(t.each), t.burst)
		t.buckets[key] = bucket
	}
	return bucket
}

// wait is what take would return, without counting a try.
func (t *throttle) wait(key string, now time.Time) time.Duration {
	bucket := t.buckets[key]
	if bucket == nil {
		return 0
	}
	return max(0, time.Duration((1-bucket.TokensAt(now))*float64(t.each)))
}

// makeRoom forgets the half that tried least: the bucket of somebody under attack is the emptiest.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.buckets) < bucketsMost {
		return
	}
	keys := make([]string, 0, len(t.buckets))
	for key := range t.buckets {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Compare(t.buckets[b].TokensAt(now), t.buckets[a].TokensAt(now))
	})
	for _, key := range keys[:bucketsMost/2] {
		delete(t.buckets, key)
	}
}
