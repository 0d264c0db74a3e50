// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	bucketsMost = 4096 // that are told apart at once
	burstRates  = 2    // seconds of the rate that may come at once
)

// buckets hold how many pictures each address, or each account, may send now.
type buckets[K comparable] struct {
	perSecond rate.Limit
	burst     int

	mu     sync.Mutex
	known  map[K]*rate.Limiter
	others *rate.Limiter // of all that come while too many are known
}

// newBuckets allows so many pictures a second; 0 sets no limit.
func newBuckets[K comparable](perSecond float64) *buckets[K] {
	b := &buckets[K]{perSecond: rate.Limit(perSecond), burst: max(1, int(burstRates*perSecond)), known: map[K]*rate.Limiter{}}
	if perSecond <= 0 {
		b.perSecond = rate.Inf
	}
	b.others = rate.NewLimiter(b.perSecond, b.burst)
	return b
}

// take takes one picture out of a bucket; when that is empty it returns how long until there is one.
func (b *buckets[K]) take(key K, now time.Time) (wait time.Duration) {
	if b.perSecond == rate.Inf {
		return 0
	}
	bucket := b.of(key, now)
	if bucket.AllowN(now, 1) {
		return 0
	}
	// A reservation that is cancelled tells it, too, but does not give back what it took where another one came in between.
	missing := 1 - bucket.TokensAt(now)
	return max(1, time.Duration(math.Ceil(missing/float64(b.perSecond)*float64(time.Second))))
}

func (b *buckets[K]) of(key K, now time.Time) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if known := b.known[key]; known != nil {
		return known
	}
	if len(b.known) >= bucketsMost {
		b.forget(now)
	}
	if len(b.known) >= bucketsMost {
		return b.others
	}
	b.known[key] = rate.NewLimiter(b.perSecond, b.burst)
	return b.known[key]
}

// forget drops the buckets that are full again: they say no more than a new one.
func (b *buckets[K]) forget(now time.Time) {
	for key, bucket := range b.known {
		if bucket.TokensAt(now) >= float64(b.burst) {
			delete(b.known, key)
		}
	}
}
