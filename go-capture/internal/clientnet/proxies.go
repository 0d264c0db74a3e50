// SPDX-License-Identifier: Apache-2.0

package clientnet

import (
	"fmt"
	"net/netip"
	"strings"
)

// Proxies are the balancers in front of the device. What they say about where a request comes from is believed, since all clients would
// share one address otherwise: its limits, its place in the line, and the throttle of its logins.
type Proxies []netip.Prefix

const bitsMapped = 96 // before the IPv4 address in an IPv6 address that stands for it

// ParseProxies takes addresses and networks.
func ParseProxies(names []string) (Proxies, error) {
	var found Proxies
	for _, name := range names {
		network, err := ParseNetwork(name)
		if err != nil {
			return nil, fmt.Errorf("web.proxies: %w", err)
		}
		found = append(found, network)
	}
	return found, nil
}

// ParseNetwork takes an address or a network. Those of IPv4 that are written as IPv6 become what connections have.
func ParseNetwork(name string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(name)
	if err != nil {
		address, wrong := netip.ParseAddr(name)
		if wrong != nil || address.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is neither an address nor a network", name)
		}
		network = netip.PrefixFrom(address, address.BitLen())
	}
	if !network.Addr().Is4In6() {
		return network.Masked(), nil
	}
	if network.Bits() < bitsMapped {
		return netip.Prefix{}, fmt.Errorf("%q is more than the IPv4 addresses that it is written for", name)
	}
	return netip.PrefixFrom(network.Addr().Unmap(), network.Bits()-bitsMapped).Masked(), nil
}

// Hold tells whether one of them has the address.
func (p Proxies) Hold(address netip.Addr) bool {
	address = address.Unmap().WithZone("")
	for _, network := range p {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// Made tells whether one of them has made a connection.
func (p Proxies) Made(connection string) bool {
	if len(p) == 0 {
		return false
	}
	peer, err := netip.ParseAddrPort(connection)
	return err == nil && p.Hold(peer.Addr())
}

// Remote is the address and port that a request comes from, by its connection and by what its headers X-Forwarded-For say.
func (p Proxies) Remote(connection string, forwarded []string) string {
	if client, told := p.clientOf(connection, forwarded); told {
		return netip.AddrPortFrom(client, 0).String()
	}
	return connection
}

// clientOf goes back from the connection through each proxy to the first address that is none: what stands before that, the client may
// have written itself.
func (p Proxies) clientOf(connection string, forwarded []string) (client netip.Addr, told bool) {
	if !p.Made(connection) {
		return netip.Addr{}, false
	}
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return client, told
		}
		client, told = hop.Unmap().WithZone(""), true
		if !p.Hold(client) {
			return client, told
		}
	}
	return client, told
}
