// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"net/netip"
	"time"

	"visavis/capture/internal/clientnet"
)

// sender is where a picture comes from: the account that was let in, where there are such, and the address.
type sender struct {
	account string
	address netip.Addr
}

// senderOf tells who sends. The address is the connection's, or what a proxy that web.proxies names has told.
func (g *Gateway) senderOf(r *http.Request) sender {
	var made sender
	if g.settings.Account != nil {
		made.account = g.settings.Account(r)
	}
	if address, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		made.address = address.Addr().Unmap()
	} // all without one share a queue
	return made
}

// network is the address that a rate is held for.
func (s sender) network() netip.Addr { return clientnet.Of(s.address) }

// holder is the client that it counts as, in memory and in the queue: a login wherever it sends from, and without one its address. So
// logins behind one proxy do not wait for each other, and who has many addresses has neither as many shares nor as many turns.
func (s sender) holder() sender {
	if s.account != "" {
		return sender{account: s.account}
	}
	return sender{address: s.network()}
}

// admit refuses a picture of an account or an address that sends too many. The account comes first: what it is refused does not count
// against others at its address.
func (g *Gateway) admit(client sender) error {
	now := time.Now()
	if client.account != "" {
		if wait := g.accounts.take(client.account, now); wait > 0 {
			return tooFastAccount(wait)
		}
	}
	if wait := g.addresses.take(client.network(), now); wait > 0 {
		return tooFast(wait)
	}
	return nil
}
