// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/netip"
	"testing"
	"time"
)

func TestAnAddressMaySendItsBurstAndThenWaitsAsLongAsItIsTold(t *testing.T) {
	b, now := newBuckets(10), time.Unix(1_000_000, 0)
	for n := range 20 {
		if wait := b.take(address(1), now); wait != 0 {
			t.Fatalf("picture %d has to wait for %v", n, wait)
		}
	}
	wait := b.take(address(1), now)
	if wait <= 0 || wait > 100*time.Millisecond {
		t.Fatalf("the 21st picture has to wait for %v, want a tenth of a second", wait)
	}
	if again := b.take(address(1), now); again != wait {
		t.Errorf("a refusal cost something: %v, then %v", wait, again)
	}
	if other := b.take(address(2), now); other != 0 {
		t.Errorf("another address has to wait for %v", other)
	}
	if later := b.take(address(1), now.Add(wait)); later != 0 {
		t.Errorf("after the wait it has to wait for another %v", later)
	}
}

func TestARateOfZeroIsNoLimit(t *testing.T) {
	b := newBuckets(0)
	for range 100_000 {
		if wait := b.take(address(1), time.Unix(1, 0)); wait != 0 {
			t.Fatalf("has to wait for %v", wait)
		}
	}
	if len(b.known) != 0 {
		t.Errorf("%d addresses are remembered", len(b.known))
	}
}

func TestTheAddressesOfOneNetworkShareABucket(t *testing.T) {
	b, now := newBuckets(0.5), time.Unix(1, 0)
	if wait := b.take(netip.MustParseAddr("2001:db8::1"), now); wait != 0 {
		t.Fatal(wait)
	}
	if wait := b.take(netip.MustParseAddr("2001:db8::2"), now); wait == 0 {
		t.Error("a neighbour has a bucket of its own")
	}
	if wait := b.take(netip.MustParseAddr("2001:db8:0:1::1"), now); wait != 0 {
		t.Error("another network has none")
	}
}

func TestManyAddressesTakeNoMoreMemoryAndTheirBucketsAreForgottenWhenFull(t *testing.T) {
	b, now := newBuckets(1), time.Unix(1, 0)
	nth := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(n >> 16), byte(n >> 8), byte(n)}) }
	for n := range bucketsMost {
		b.take(nth(n), now)
	}
	refused := 0
	for n := range 10 {
		if b.take(nth(bucketsMost+n), now) > 0 {
			refused++
		}
	}
	if len(b.known) != bucketsMost || refused != 8 {
		t.Errorf("%d addresses are remembered; %d of 10 that came later were refused, want 8", len(b.known), refused)
	}
	b.take(nth(-1), now.Add(time.Hour))
	if len(b.known) != 1 {
		t.Errorf("%d addresses are remembered after an hour", len(b.known))
	}
}
