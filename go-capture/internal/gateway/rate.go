// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	bucketsMost = 4096 // addresses that are told apart at once
	burstRates  = 2    // seconds of the rate that may come at once
	networkBits = 64   // of an IPv6 address: one household or one machine has them all
)

// buckets hold how many pictures each address may send now.
type buckets struct {
	perSecond rate.Limit
	burst     int

	mu     sync.Mutex
	known  map[netip.Addr]*rate.Limiter
	others *rate.Limiter // of all addresses that come while too many are known
}

// newBuckets allows so many pictures a second; 0 sets no limit.
func newBuckets(perSecond float64) *buckets {
	b := &buckets{perSecond: rate.Limit(perSecond), burst: max(1, int(burstRates*perSecond)), known: map[netip.Addr]*rate.Limiter{}}
	if perSecond <= 0 {
		b.perSecond = rate.Inf
	}
	b.others = rate.NewLimiter(b.perSecond, b.burst)
	return b
}

// take takes one picture of the address out of its bucket; when that is empty it returns how long until there is one.
func (b *buckets) take(client netip.Addr, now time.Time) (wait time.Duration) {
	if b.perSecond == rate.Inf {
		return 0
	}
	asked := b.of(client, now).ReserveN(now, 1)
	if wait = asked.DelayFrom(now); wait > 0 {
		asked.CancelAt(now)
	}
	return wait
}

func (b *buckets) of(client netip.Addr, now time.Time) *rate.Limiter {
	key := client
	if network, err := client.Prefix(networkBits); err == nil && client.Is6() {
		key = network.Addr()
	}
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
func (b *buckets) forget(now time.Time) {
	for key, bucket := range b.known {
		if bucket.TokensAt(now) >= float64(b.burst) {
			delete(b.known, key)
		}
	}
}
