// SPDX-License-Identifier: Apache-2.0

// Package crowd bounds the connections that are open at once, in all and from one household: each takes memory and a descriptor, also of
// whoever has no login.
package crowd

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"visavis/capture/internal/household"
)

const toldPause = time.Minute // between two lines about it in the log

// Crowd knows who is inside. Make it with New; its methods may be called from any goroutine.
type Crowd struct {
	most, perAddress int
	forMany          func(netip.Addr) bool
	say              rate.Sometimes

	mu        sync.Mutex
	inside    map[net.Conn]netip.Addr
	addresses map[netip.Addr]int
}

// New lets in so many connections, and so many from one address. Loopback and those that forMany knows, such as balancers, speak for
// many: only the first bound holds for them.
func New(most, perAddress int, forMany func(netip.Addr) bool) *Crowd {
	return &Crowd{most: most, perAddress: perAddress, forMany: forMany, say: rate.Sometimes{Interval: toldPause},
		inside: map[net.Conn]netip.Addr{}, addresses: map[netip.Addr]int{}}
}

// Admit lets a new connection in, or closes it and says false.
func (c *Crowd) Admit(connection net.Conn) bool {
	remote := connection.RemoteAddr().String()
	if c.enter(connection, remote) {
		return true
	}
	_ = connection.Close() // its reader sees it
	c.say.Do(func() { slog.Warn("too many connections, new ones are closed", "client", remote) })
	return false
}

func (c *Crowd) enter(connection net.Conn, remote string) bool {
	from := household.OfRemote(remote)
	c.mu.Lock()
	defer c.mu.Unlock()
	speaksForMany := from.IsLoopback() || c.forMany(from)
	if len(c.inside) >= c.most || c.addresses[from] >= c.perAddress && !speaksForMany {
		return false
	}
	c.inside[connection] = from
	c.addresses[from]++
	return true
}

// Leave does nothing for a connection that was not let in.
func (c *Crowd) Leave(connection net.Conn) {
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

// Listener accepts only who is let in; they leave when they are closed.
func (c *Crowd) Listener(of net.Listener) net.Listener { return listener{of, c} }

type listener struct {
	net.Listener
	crowd *Crowd
}

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	for {
		connection, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.crowd.Admit(connection) {
			return guest{connection, l.crowd}, nil
		}
	}
}

type guest struct {
	net.Conn
	crowd *Crowd
}

// Close implements net.Conn.
func (g guest) Close() error {
	g.crowd.Leave(g.Conn)
	return g.Conn.Close()
}
