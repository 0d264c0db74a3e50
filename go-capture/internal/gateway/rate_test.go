// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"
)

func TestAnAddressMaySendItsBurstAndThenWaitsAsLongAsItIsTold(t *testing.T) {
	b, now := newBuckets[netip.Addr](10), time.Unix(1_000_000, 0)
	for n := range 20 {
		if wait := b.take(address(1).network(), now); wait != 0 {
			t.Fatalf("picture %d has to wait for %v", n, wait)
		}
	}
	wait := b.take(address(1).network(), now)
	if wait <= 0 || wait > 100*time.Millisecond {
		t.Fatalf("the 21st picture has to wait for %v, want a tenth of a second", wait)
	}
	if again := b.take(address(1).network(), now); again != wait {
		t.Errorf("a refusal cost something: %v, then %v", wait, again)
	}
	if other := b.take(address(2).network(), now); other != 0 {
		t.Errorf("another address has to wait for %v", other)
	}
	if later := b.take(address(1).network(), now.Add(wait)); later != 0 {
		t.Errorf("after the wait it has to wait for another %v", later)
	}
}

func TestWhoAsksTooOftenAtOnceGetsItsRateAllTheSame(t *testing.T) {
	const perSecond = 10
	b, now := newBuckets[netip.Addr](perSecond), time.Unix(1_000_000, 0)
	for b.take(address(1).network(), now) == 0 {
		continue
	}
	var hammering sync.WaitGroup
	for range 8 {
		hammering.Add(1)
		go func() {
			defer hammering.Done()
			for range 20_000 {
				b.take(address(1).network(), now)
			}
		}()
	}
	hammering.Wait()
	now = now.Add(time.Second)
	taken := 0
	for b.take(address(1).network(), now) == 0 {
		taken++
	}
	if taken != perSecond {
		t.Errorf("%d pictures are taken after a second, want %d", taken, perSecond)
	}
}

func TestARateOfZeroIsNoLimit(t *testing.T) {
	b := newBuckets[netip.Addr](0)
	for range 100_000 {
		if wait := b.take(address(1).network(), time.Unix(1, 0)); wait != 0 {
			t.Fatalf("has to wait for %v", wait)
		}
	}
	if len(b.known) != 0 {
		t.Errorf("%d addresses are remembered", len(b.known))
	}
}

func TestTheAddressesOfOneNetworkShareABucket(t *testing.T) {
	b, now := newBuckets[netip.Addr](0.5), time.Unix(1, 0)
	if wait := b.take(sender{address: netip.MustParseAddr("2001:db8::1")}.network(), now); wait != 0 {
		t.Fatal(wait)
	}
	if wait := b.take(sender{address: netip.MustParseAddr("2001:db8::2")}.network(), now); wait == 0 {
		t.Error("a neighbour has a bucket of its own")
	}
	if wait := b.take(sender{address: netip.MustParseAddr("2001:db8:0:1::1")}.network(), now); wait != 0 {
		t.Error("another network has none")
	}
}

func TestManyAddressesTakeNoMoreMemoryAndTheirBucketsAreForgottenWhenFull(t *testing.T) {
	b, now := newBuckets[netip.Addr](1), time.Unix(1, 0)
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

func TestAnAccountHasARateOfItsOwnWhereverItSendsFrom(t *testing.T) {
	g := &Gateway{addresses: newBuckets[netip.Addr](10), accounts: newBuckets[string](1)}
	greedy := func(i int) sender { return sender{account: "greedy", address: address(i).address} }
	for i := range 2 {
		if err := g.admit(greedy(i)); err != nil {
			t.Fatalf("picture %d: %v", i, err)
		}
	}
	var refused Refusal
	if err := g.admit(greedy(3)); !errors.As(err, &refused) || refused.Title != "Too many pictures come with this login" || refused.RetryAfter <= 0 {
		t.Fatalf("the third picture: %v", err)
	}
	for range 20 {
		_ = g.admit(greedy(4)) // refused, as it must not count against its address
	}
	for i := range 2 {
		if err := g.admit(sender{account: "polite", address: address(4).address}); err != nil {
			t.Errorf("another account's picture %d from that address: %v", i, err)
		}
	}
}
