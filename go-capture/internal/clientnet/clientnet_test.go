// SPDX-License-Identifier: Apache-2.0

package clientnet

import (
	"net/netip"
	"testing"
)

func TestANetworkOfIPv6CountsAsOneAndEverythingElseAsItself(t *testing.T) {
	for remote, want := range map[string]netip.Addr{
		"192.0.2.7:80": netip.MustParseAddr("192.0.2.7"), "[::ffff:192.0.2.7]:80": netip.MustParseAddr("192.0.2.7"),
		"[2001:db8:1:2:3:4:5:6]:80": netip.MustParseAddr("2001:db8:1:2::"), "[fe80::1%eth0]:80": netip.MustParseAddr("fe80::"),
		"[::1]:80": netip.IPv6Loopback(), "@": {}, "": {},
	} {
		if got := OfRemote(remote); got != want {
			t.Errorf("%q is %v, want %v", remote, got, want)
		}
	}
}
