// SPDX-License-Identifier: Apache-2.0

package web

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"visavis/capture/internal/household"
)

const crowdTold = time.Minute // between two lines about it in the log

// crowd bounds the connections, in all and from one address: each takes memory and a descriptor, also of whoever has no login. WebSockets
// have bounds of their own. Loopback and the balancers in front speak for many.
type crowd struct {
	most, perAddress int
	proxies          proxies
	say              rate.Sometimes

	mu        sync.Mutex
	inside    map[net.Conn]netip.Addr
	addresses map[netip.Addr]int
}

func newCrowd(settings Settings, known proxies) *crowd {
	return &crowd{most: settings.MaxConnections, perAddress: settings.MaxPerAddress, proxies: known, say: rate.Sometimes{Interval: crowdTold},
		inside: map[net.Conn]netip.Addr{}, addresses: map[netip.Addr]int{}}
}

// note follows one connection, and ends a new one that is too much.
func (c *crowd) note(connection net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if !c.enter(connection, connection.RemoteAddr().String()) {
			_ = connection.Close() // its reader sees it
			c.say.Do(func() {
				slog.Warn("too many connections, new ones are closed", "client", connection.RemoteAddr().String())
			})
		}
	case http.StateClosed, http.StateHijacked:
		c.leave(connection)
	}
}

func (c *crowd) enter(connection net.Conn, remote string) bool {
	from := household.OfRemote(remote)
	c.mu.Lock()
	defer c.mu.Unlock()
	speaksForMany := from.IsLoopback() || c.proxies.hold(from)
	if len(c.inside) >= c.most || c.addresses[from] >= c.perAddress && !speaksForMany {
		return false
	}
	c.inside[connection] = from
	c.addresses[from]++
	return true
}

// leave does nothing for a connection that was not let in.
func (c *crowd) leave(connection net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	from, in := c.inside[connection]
	if !in {
		return
	}
	delete(c.inside, connection)
	if c.addresses[from]--; c.addresses[from] == 0 {
		delete(c.addresses, from)
	}
}
