// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/netip"
	"strconv"
	"testing"
)

func TestWhoTakesAllTheyCanLeaveRoomForOneMore(t *testing.T) {
	const step, steps = 64 << 10, 1024
	bodies := newBudget(step * steps)
	for i, left := range []int64{256, 64, 16, 4} {
		greedy := bodies.of(sender{account: strconv.Itoa(i)})
		for greedy.take(step) {
			continue
		}
		if bodies.free != left*step {
			t.Errorf("client %d leaves %d bytes, want %d", i, bodies.free, left*step)
		}
	}
	if !bodies.of(sender{account: "polite"}).take(step) {
		t.Error("nothing is left for one that takes little")
	}
}

func TestALoginHasOneShareWhereverItSendsFromAndANetworkOfIPv6HasOne(t *testing.T) {
	from := func(account, address string) sender { return sender{account, netip.MustParseAddr(address)} }
	bodies := newBudget(400)
	for n, c := range []struct {
		who   sender
		bytes int64
		taken bool
	}{{from("anna", "192.0.2.1"), 200, true}, {from("anna", "192.0.2.2"), 150, false}, {from("", "2001:db8::1"), 150, true},
		{from("", "2001:db8::2"), 20, false}, {from("", "2001:db8:0:1::2"), 20, true}} {
		if got := bodies.of(c.who).take(c.bytes); got != c.taken {
			t.Errorf("%d, %v: %v", n, c.who, got)
		}
	}
}

func TestWhatAClientGivesBackIsFree(t *testing.T) {
	bodies := newBudget(400)
	mine := bodies.of(sender{})
	if !mine.take(200) || !mine.take(100) || mine.take(1) {
		t.Error("alone a client may hold 300 of 400 bytes, and no more")
	}
	mine.giveBack(300)
	if bodies.free != 400 || len(bodies.held) != 0 {
		t.Errorf("%d bytes are free, %v are held", bodies.free, bodies.held)
	}
}
