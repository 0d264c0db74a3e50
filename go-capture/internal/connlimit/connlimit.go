// SPDX-License-Identifier: Apache-2.0

// Package connlimit bounds the connections that are open at once, in all and from one client: each takes memory and a descriptor, also
// of whoever has no login. Whose a connection is, a balancer may say when it is open already.
package connlimit

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"visavis/capture/internal/clientnet"
)

const toldPause = time.Minute // between two lines about it in the log

// Limiter knows which connections are open. Make it with New; its methods may be called from any goroutine.
type Limiter struct {
	most, perAddress int
	forMany          func(netip.Addr) bool
	say              rate.Sometimes

	mu        sync.Mutex
	inside    map[net.Conn]netip.Addr
	addresses map[netip.Addr]int
}

// New lets in so many connections, and so many from one address. Loopback and those that forMany knows, such as balancers, speak for
// many: only the first bound holds for them.
func New(most, perAddress int, forMany func(netip.Addr) bool) *Limiter {
	return &Limiter{most: most, perAddress: perAddress, forMany: forMany, say: rate.Sometimes{Interval: toldPause},
		inside: map[net.Conn]netip.Addr{}, addresses: map[netip.Addr]int{}}
}

// errTooMany ends a connection of which its balancer has said whose it is.
var errTooMany = errors.New("its client has too many connections")

// Admit lets a new connection in, or closes it and says false.
func (l *Limiter) Admit(connection net.Conn) bool {
	remote := clientnet.Direct(connection).RemoteAddr().String() // nobody waits here for what a balancer has to say
	if !l.enter(connection, remote) {
		l.refuse(connection, remote)
		return false
	}
	clientnet.WhenTold(connection, func(client string) error {
		if l.pass(connection, client) {
			return nil
		}
		l.refuse(connection, client)
		return errTooMany
	})
	return true
}

func (l *Limiter) refuse(connection net.Conn, remote string) {
	_ = clientnet.Direct(connection).Close() // its reader sees it
	l.say.Do(func() { slog.Warn("too many connections, new ones are closed", "client", remote) })
}

func (l *Limiter) enter(connection net.Conn, remote string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count(connection, remote, clientnet.OfRemote(remote).IsLoopback() || l.speaksForMany(remote))
}

// pass counts a connection as its client's instead of its balancer's, or as nobody's and says false. Loopback is the balancer's then.
func (l *Limiter) pass(connection net.Conn, client string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.forget(connection) || l.count(connection, client, l.speaksForMany(client))
}

// speaksForMany asks by the address itself, and not by its network.
func (l *Limiter) speaksForMany(remote string) bool {
	itself, _ := netip.ParseAddrPort(remote)
	return l.forMany(itself.Addr().Unmap())
}

func (l *Limiter) count(connection net.Conn, remote string, forMany bool) bool {
	from := clientnet.OfRemote(remote)
	if len(l.inside) >= l.most || l.addresses[from] >= l.perAddress && !forMany {
		return false
	}
	l.inside[connection] = from
	l.addresses[from]++
	return true
}

// Leave makes room again; it does nothing for a connection that was not let in.
func (l *Limiter) Leave(connection net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(connection)
}

// forget says whether the connection was inside.
func (l *Limiter) forget(connection net.Conn) bool {
	from, in := l.inside[connection]
	if !in {
		return false
	}
	delete(l.inside, connection)
	if l.addresses[from]--; l.addresses[from] == 0 {
		delete(l.addresses, from)
	}
	return true
}

// Listener accepts only who is let in; they leave when they are closed.
func (l *Limiter) Listener(of net.Listener) net.Listener { return listener{of, l} }

type listener struct {
	net.Listener
	limiter *Limiter
}

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	for {
		connection, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.limiter.Admit(connection) {
			return guest{connection, l.limiter}, nil
		}
	}
}

type guest struct {
	net.Conn
	limiter *Limiter
}

// Close implements net.Conn.
func (g guest) Close() error {
	g.limiter.Leave(g.Conn)
	return g.Conn.Close()
}
