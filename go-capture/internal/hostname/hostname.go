// SPDX-License-Identifier: Apache-2.0

// Package hostname compares the names of hosts, and makes them what is looked up.
package hostname

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// Plain is the same for all ways of writing one host: capitals, a dot at the end, an IP address, this machine itself.
func Plain(host string) string {
	host = strings.ToLower(host)
	if name, err := ASCII(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(host, ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	if host == "localhost" || host == "::1" {
		return "127.0.0.1"
	}
	return host
}

// forLookup lets underscores be, which names in a home network may have.
var forLookup = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(false))

// ASCII is the name as it is looked up and as certificates have it: that of küche.test is xn--kche-0ra.test. Others, and addresses, are
// left as they are.
func ASCII(host string) (string, error) {
	for _, c := range host {
		if c >= utf8.RuneSelf && !strings.Contains(host, ":") {
			return forLookup.ToASCII(host)
		}
	}
	return host, nil
}
