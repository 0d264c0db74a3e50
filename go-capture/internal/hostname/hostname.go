// SPDX-License-Identifier: Apache-2.0

// Package hostname compares the names of hosts.
package hostname

import (
	"net/netip"
	"strings"
)

// Plain is the same for all ways of writing one host: capitals, a dot at the end, an IP address, this machine itself.
func Plain(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
	}
	if host == "localhost" || host == "::1" {
		return "127.0.0.1"
	}
	return host
}
