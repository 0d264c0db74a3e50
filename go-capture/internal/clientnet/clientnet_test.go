// SPDX-License-Identifier: Apache-2.0

package clientnet

import (
	"net/netip"
	"testing"
)

func TestANetworkOfIPv6CountsAsOneAndEverythingElseAsItself(t *testing.T) {
	plain := netip.MustParseAddr("192.0.2.7")
	for remote, want := range map[string]struct {
		client netip.Addr
		name   string
	}{
		"192.0.2.7:80": {plain, "192.0.2.7"}, "[::ffff:192.0.2.7]:80": {plain, "192.0.2.7"},
		"[2001:db8:1:2:3:4:5:6]:80": {netip.MustParseAddr("2001:db8:1:2::"), "2001:db8:1:2::/64"},
		"[2001:db8:1:2::9]:80":      {netip.MustParseAddr("2001:db8:1:2::"), "2001:db8:1:2::/64"},
		"[fe80::1%eth0]:80":         {netip.MustParseAddr("fe80::"), "fe80::/64"},
		"[::1]:80":                  {netip.IPv6Loopback(), "::1"},
		"@":                         {name: "unknown"}, "": {name: "unknown"},
	} {
		if client, name := OfRemote(remote), NameOfRemote(remote); client != want.client || name != want.name {
			t.Errorf("%q is %v, called %s, want %v", remote, client, name, want)
		}
	}
}
