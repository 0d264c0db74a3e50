// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

const forwardedFor = "X-Forwarded-For"

// proxies are the balancers in front of the device. What they say about where a request comes from is believed, since all clients would
// share one address otherwise: its limits, its place in the line, and the throttle of its logins.
type proxies []netip.Prefix

// parseProxies takes addresses and networks.
func parseProxies(names []string) (proxies, error) {
	var found proxies
	for _, name := range names {
		network, err := netip.ParsePrefix(name)
		if err != nil {
			address, wrong := netip.ParseAddr(name)
			if wrong != nil {
				return nil, fmt.Errorf("web.proxies: %q is neither an address nor a network such as 10.0.0.0/8", name)
			}
			network = netip.PrefixFrom(address, address.BitLen())
		}
		found = append(found, network.Masked())
	}
	return found, nil
}

func (p proxies) hold(address netip.Addr) bool {
	for _, network := range p {
		if network.Contains(address.Unmap()) {
			return true
		}
	}
	return false
}

// unveil gives the request the address of its client before anybody looks at it.
func (p proxies) unveil(next http.Handler) http.Handler {
	if len(p) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if client, told := p.clientOf(r); told {
			r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
		}
		next.ServeHTTP(w, r)
	})
}

// clientOf goes back from the connection through each proxy to the first address that is none: what stands before that, the client may
// have written itself.
func (p proxies) clientOf(r *http.Request) (client netip.Addr, told bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !p.hold(peer.Addr()) {
		return netip.Addr{}, false
	}
	hops := strings.Split(strings.Join(r.Header.Values(forwardedFor), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return client, told
		}
		client, told = hop.Unmap().WithZone(""), true
		if !p.hold(client) {
			return client, told
		}
	}
	return client, told
}
