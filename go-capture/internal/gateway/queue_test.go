// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"
)

func address(i int) sender { return sender{address: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})} }

func always(n int) func(int) int { return func(int) int { return n } }

// granted takes the verdict of a ticket, if there is one.
func granted(t *ticket) (decided, ok bool) {
	select {
	case verdict := <-t.verdict:
		return true, verdict == nil
	default:
		return false, false
	}
}

func TestAFreePlaceIsGivenAtOnceAndTheNextOneWaits(t *testing.T) {
	l := newFairQueue(1, 8, always(8))
	first, _ := l.enter(address(1))
	second, ok := l.enter(address(1))
	if decided, ok := granted(first); !decided || !ok {
		t.Fatal("the first had to wait")
	}
	if decided, _ := granted(second); decided || !ok {
		t.Fatal("the second did not wait")
	}
	l.free()
	if decided, ok := granted(second); !decided || !ok {
		t.Fatal("the second got no place")
	}
	l.free()
	if waiting, busy := l.lengths(); waiting != 0 || busy != 0 {
		t.Fatalf("waiting %d, busy %d", waiting, busy)
	}
}

// Where workers are so slow that nobody may wait, who need not wait is let in.
func TestAFreePlaceIsOpenThoughNobodyMayWait(t *testing.T) {
	l := newFairQueue(1, 8, always(0))
	if !l.open(address(1)) {
		t.Fatal("there is a place, and no way in")
	}
	l.enter(address(1))
	if l.open(address(1)) {
		t.Fatal("there is a way in, and no place")
	}
}

func TestAClientWithFewerPicturesTakesThePlaceOfOneWithMore(t *testing.T) {
	l := newFairQueue(0, 8, always(3))
	var greedy []*ticket
	for range 3 {
		one, _ := l.enter(address(1))
		greedy = append(greedy, one)
	}
	if l.open(address(1)) {
		t.Fatal("there is room for a fourth")
	}
	modest, ok := l.enter(address(2))
	if !ok {
		t.Fatal("a client without any picture is refused")
	}
	if decided, ok := granted(greedy[2]); !decided || ok {
		t.Fatal("the greedy client's newest picture still waits")
	}
	if _, ok := l.enter(address(2)); ok {
		t.Fatal("two each of three is not fewer")
	}
	l.free()
	l.free()
	for _, one := range []*ticket{greedy[0], modest} {
		if decided, ok := granted(one); !decided || !ok {
			t.Fatal("they do not take turns")
		}
	}
}

func TestWhoWouldComeTooLateIsToldWhenWorkersBecomeSlower(t *testing.T) {
	room := 4
	l := newFairQueue(0, 8, func(int) int { return room })
	var waiting []*ticket
	for range 4 {
		one, _ := l.enter(address(1))
		waiting = append(waiting, one)
	}
	room = -1
	l.free()
	for i, one := range waiting {
		if decided, ok := granted(one); !decided || ok != (i == 0) {
			t.Errorf("picture %d: decided %t, granted %t", i, decided, ok)
		}
	}
}

func TestAccountsAtOneAddressHaveTurnsOfTheirOwn(t *testing.T) {
	l := newFairQueue(1, 10, func(int) int { return 10 })
	one, two := sender{account: "one", address: address(1).address}, sender{account: "two", address: address(1).address}
	_, _ = l.enter(one) // has the place
	first, _ := l.enter(one)
	second, _ := l.enter(one)
	other, _ := l.enter(two)
	for _, next := range []*ticket{first, other, second} {
		l.free()
		if !next.decided {
			t.Fatalf("it is not the turn of %v", next.client)
		}
	}
}

// TestWhoHasManyAddressesIsOneClient: one of a login, or of a network of IPv6, fills the queue, and another one still gets in.
func TestWhoHasManyAddressesIsOneClient(t *testing.T) {
	for name, greedy := range map[string]func(i int) sender{
		"a login":           func(i int) sender { return sender{account: "a", address: address(i).address} },
		"a network of IPv6": func(i int) sender { return sender{address: netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 15: byte(i)})} },
	} {
		l := newFairQueue(0, 8, always(8))
		var theirs []*ticket
		for i := range 8 {
			one, _ := l.enter(greedy(i))
			theirs = append(theirs, one)
		}
		other := sender{account: "b", address: address(1).address}
		if !l.open(other) {
			t.Errorf("%s: another client is refused before its picture is read", name)
		}
		if _, ok := l.enter(other); !ok {
			t.Errorf("%s: another client is refused", name)
		}
		if decided, ok := granted(theirs[7]); !decided || ok {
			t.Errorf("%s: its newest picture still waits", name)
		}
		if l := newFairQueue(0, 2, always(8)); !entered(l, greedy(1)) || !entered(l, greedy(2)) || entered(l, greedy(3)) {
			t.Errorf("%s: it has more waiting than one client may", name)
		}
	}
}

func entered(l *fairQueue, client sender) bool {
	_, ok := l.enter(client)
	return ok
}

func TestNoClientHasMoreWaitingThanItMay(t *testing.T) {
	l := newFairQueue(0, 2, always(8))
	for i := range 3 {
		if _, ok := l.enter(address(1)); ok != (i < 2) {
			t.Errorf("picture %d: %t", i, ok)
		}
	}
	if _, ok := l.enter(address(2)); !ok {
		t.Error("another client is refused although there is room")
	}
}

func TestWhoLeavesFreesItsPlace(t *testing.T) {
	l := newFairQueue(1, 8, always(8))
	first, _ := l.enter(address(1))
	second, _ := l.enter(address(1))
	if l.leave(second) {
		t.Fatal("a waiting picture has no place")
	}
	if !l.leave(first) {
		t.Fatal("the first had a place")
	}
	l.free()
	if waiting, busy := l.lengths(); waiting != 0 || busy != 0 || len(l.queues) != 0 || len(l.turns) != 0 {
		t.Fatalf("waiting %d, busy %d, queues %v", waiting, busy, l.queues)
	}
}

// TestClientsThatAlwaysWantGetEqualShares: whatever they send, clients that always have something waiting are served equally
// (Jain's index), and each client's pictures in their order.
func TestClientsThatAlwaysWantGetEqualShares(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		clients := rapid.IntRange(2, 6).Draw(r, "clients")
		l := newFairQueue(0, 50, always(64))
		queues := map[int][]*ticket{}
		served := make([]float64, clients)
		for range 40 * clients {
			for c := range clients {
				wanted := rapid.IntRange(1, 1+3*c).Draw(r, "waiting")
				for len(queues[c]) < wanted {
					one, ok := l.enter(address(c))
					if !ok {
						break
					}
					queues[c] = append(queues[c], one)
				}
			}
			l.free()
			for c := range clients {
				queues[c] = settled(r, queues[c], &served[c])
			}
		}
		sum, squares := 0.0, 0.0
		for _, n := range served {
			sum, squares = sum+n, squares+n*n
		}
		if jain := sum * sum / (float64(clients) * squares); jain < 0.98 {
			r.Fatalf("Jain's index is %.3f of %v", jain, served)
		}
	})
}

// settled takes decided tickets out of a client's queue: its first was served, its last gave way.
func settled(r *rapid.T, queue []*ticket, served *float64) (left []*ticket) {
	for i, one := range queue {
		decided, ok := granted(one)
		switch {
		case !decided:
			left = append(left, one)
		case ok && i > 0 && len(left) > 0:
			r.Fatal("a picture overtook an older one of its client")
		case ok:
			*served++
		}
	}
	return left
}

// TestNoPictureAndNoPlaceIsLost: after any sequence of events every ticket was decided at most once, and places add up.
func TestNoPictureAndNoPlaceIsLost(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		places, room := rapid.IntRange(0, 3).Draw(r, "places"), rapid.IntRange(0, 5).Draw(r, "room")
		l := newFairQueue(places, rapid.IntRange(1, 4).Draw(r, "per client"), always(room))
		var waiting []*ticket
		held := 0
		for range rapid.IntRange(1, 60).Draw(r, "events") {
			switch rapid.SampledFrom([]string{"enter", "enter", "leave", "free", "resize"}).Draw(r, "event") {
			case "enter":
				if one, ok := l.enter(address(rapid.IntRange(1, 3).Draw(r, "client"))); ok {
					waiting = append(waiting, one)
				}
			case "leave":
				if len(waiting) > 0 && l.leave(waiting[0]) {
					held++
				}
				waiting = waiting[min(1, len(waiting)):]
			case "resize":
				places = rapid.IntRange(0, 4).Draw(r, "places")
				l.resize(places)
			case "free":
				if held > 0 {
					held--
					l.free()
				}
			}
			var left []*ticket
			for _, one := range waiting {
				if decided, ok := granted(one); !decided {
					left = append(left, one)
				} else if ok {
					held++
				}
			}
			waiting = left
			if n, busy := l.lengths(); n != len(waiting) || busy != held || (n > 0 && busy < places) || n > room {
				r.Fatalf("%d wait and %d have a place, the queue says %d and %d of %d", len(waiting), held, n, busy, places)
			}
		}
	})
}

func TestWhoHasManyAddressesIsToldBeforeThatItHasEnoughInTheQueue(t *testing.T) {
	l := newFairQueue(0, 1, always(8))
	l.enter(sender{address: netip.MustParseAddr("2001:db8::1")})
	if l.open(sender{address: netip.MustParseAddr("2001:db8::2")}) {
		t.Error("another address of the same network finds it open")
	}
	if !l.open(sender{address: netip.MustParseAddr("2001:db8:0:1::1")}) {
		t.Error("another network does not")
	}
}
