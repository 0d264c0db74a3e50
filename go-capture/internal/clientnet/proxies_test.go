// SPDX-License-Identifier: Apache-2.0

package clientnet

import "testing"

func TestWhatAProxySaysAboutItsClientIsBelievedAndWhatOthersSayIsNot(t *testing.T) {
	balancers, err := ParseProxies([]string{"192.0.2.1", "10.0.0.0/8", "fd00::/8", "fe80::5", "::ffff:198.51.100.0/120", "::ffff:192.0.2.9"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		peer  string
		said  []string
		found string
	}{
		{"192.0.2.1:5", []string{"203.0.113.7"}, "203.0.113.7:0"},
		{"[::ffff:192.0.2.1]:5", []string{"203.0.113.7"}, "203.0.113.7:0"},
		{"[fd00::2]:5", []string{"2001:db8::1"}, "[2001:db8::1]:0"},
		{"198.51.100.8:5", []string{"203.0.113.7"}, "203.0.113.7:0"}, // its network is written as IPv6
		{"192.0.2.9:5", []string{"203.0.113.7"}, "203.0.113.7:0"},
		{"[fe80::5%eth0]:5", []string{"2001:db8::1"}, "[2001:db8::1]:0"},
		{"198.51.99.8:5", []string{"203.0.113.7"}, "198.51.99.8:5"},
		{"203.0.113.9:5", []string{"203.0.113.7"}, "203.0.113.9:5"},   // no proxy: a client's own words
		{"192.0.2.1:5", []string{"203.0.113.7, junk"}, "192.0.2.1:5"}, // what stands before it may be the client's own
		{"192.0.2.1:5", []string{"203.0.113.7, junk, 10.1.2.3"}, "10.1.2.3:0"},
		{"192.0.2.1:5", []string{"::ffff:203.0.113.7"}, "203.0.113.7:0"},
		{"192.0.2.1:5", nil, "192.0.2.1:5"},                                     // the proxy itself asks
		{"192.0.2.1:5", []string{"nonsense"}, "192.0.2.1:5"},                    // and this
		{"192.0.2.1:5", []string{"198.51.100.1, 203.0.113.7"}, "203.0.113.7:0"}, // the first was written by the client
		{"192.0.2.1:5", []string{"203.0.113.7, 10.1.2.3"}, "203.0.113.7:0"},     // two proxies
		{"192.0.2.1:5", []string{"203.0.113.7", "10.1.2.3"}, "203.0.113.7:0"},
		{"192.0.2.1:5", []string{"10.1.2.3"}, "10.1.2.3:0"}, // another proxy asks
		{"192.0.2.1:5", []string{"junk, 203.0.113.7"}, "203.0.113.7:0"},
	} {
		if seen := balancers.Remote(c.peer, c.said); seen != c.found {
			t.Errorf("%s says %q: %s, want %s", c.peer, c.said, seen, c.found)
		}
	}
}

func TestAProxyThatIsNoAddressIsAnError(t *testing.T) {
	for _, name := range []string{"balancer", "10.0.0.0/33", "", "10.0.0", "fe80::5%eth0", "::ffff:10.0.0.0/64"} {
		if _, err := ParseProxies([]string{name}); err == nil {
			t.Errorf("%q is taken", name)
		}
	}
}
