// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestALoginLeavesSomeStreamsToOthers(t *testing.T) {
	for most, share := range map[int]int{1: 1, 3: 3, 4: 3, 64: 48} {
		s := newStreams(most)
		leaky := sender{account: "leaky", address: netip.MustParseAddr("192.0.2.1")}
		for n := range share {
			leaky.address = leaky.address.Next() // a login is one wherever it sends from
			if err := s.take(leaky); err != nil {
				t.Fatalf("%d of %d: %v", n+1, most, err)
			}
		}
		var refused Refusal
		if err := s.take(leaky); !errors.As(err, &refused) || refused.Status != 429 {
			t.Fatalf("%d of %d: %v", share+1, most, err)
		}
		for n := range most - share {
			if err := s.take(sender{account: "careful"}); err != nil {
				t.Errorf("another one's stream %d of %d: %v", n+1, most-share, err)
			}
		}
		s.giveBack(leaky)
		if err := s.take(leaky); err != nil {
			t.Errorf("after one was closed: %v", err)
		}
	}
}

func TestWhereNobodyLogsInAllStreamsAreForWhoeverComes(t *testing.T) {
	s := newStreams(8)
	for range 8 {
		if err := s.take(sender{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.take(sender{}); err == nil || !strings.Contains(refusalOf(err).Detail, "gateway.streams = 8") {
		t.Error(err)
	}
}
