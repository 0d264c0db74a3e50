// SPDX-License-Identifier: Apache-2.0

// Package clientnet says which address is a client's, behind a balancer too, and which count as one client's where something is bounded
// for each client.
package clientnet

import "net/netip"

// bitsV6 are those of an IPv6 address that are the same for all of a household, or for all of a machine's own addresses.
const bitsV6 = 64

// Of is the address that stands for a client: the first of its network for IPv6, else the address itself.
func Of(address netip.Addr) netip.Addr {
	address = address.Unmap().WithZone("")
	if !inNetwork(address) {
		return address
	}
	return netip.PrefixFrom(address, bitsV6).Masked().Addr()
}

// inNetwork tells whether a client may have all addresses of the network around this one.
func inNetwork(address netip.Addr) bool { return address.Is6() && !address.IsLoopback() }

// OfRemote is that of a connection's address and port; all that have none count as one.
func OfRemote(remote string) netip.Addr {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return Of(at.Addr())
}

// AddressOfRemote is the address alone, as people write it: one machine, where its network may be a whole household.
func AddressOfRemote(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return "unknown"
	}
	return at.Addr().Unmap().String()
}

// NameOfRemote is what OfRemote stands for, as people write it.
func NameOfRemote(remote string) string {
	client := OfRemote(remote)
	switch {
	case !client.IsValid():
		return "unknown"
	case inNetwork(client):
		return netip.PrefixFrom(client, bitsV6).String()
	}
	return client.String()
}
