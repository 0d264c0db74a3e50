// SPDX-License-Identifier: Apache-2.0

package clientnet

import (
	"net"
	"net/netip"
	"time"

	"github.com/pires/go-proxyproto"
)

// saidWithin is how long a proxy may take to say whose a connection is; one that says nothing by then is asked itself.
const saidWithin = 5 * time.Second

// Listener accepts connections of which a proxy may say first whose they are, in the PROXY protocol (1 or 2): who passes TCP on writes no
// headers. What others than the proxies send first is never taken for that.
func (p Proxies) Listener(of net.Listener) net.Listener {
	if len(p) == 0 {
		return of
	}
	return listener{of, p}
}

type listener struct {
	net.Listener
	proxies Proxies
}

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if from, err := netip.ParseAddrPort(connection.RemoteAddr().String()); err != nil || !l.proxies.Hold(from.Addr()) {
		return connection, nil
	}
	passed := &passedOn{Conn: connection}
	return proxyproto.NewConn(passed, proxyproto.SetReadHeaderTimeout(saidWithin), proxyproto.ValidateHeader(passed.introduce)), nil
}

// Direct is the connection that was accepted, whoever speaks through it. Its addresses are there at once; those of one whose proxy has yet
// to say more are waited for.
func Direct(connection net.Conn) net.Conn {
	connection = beneath(connection)
	if passed, ok := connection.(*passedOn); ok {
		return passed.Conn
	}
	return connection
}

// WhenTold calls do when a proxy has said from which address and port a connection comes; an error of it ends the connection. It is for
// those from which nobody has read yet, and do may not ask them anything.
func WhenTold(connection net.Conn, do func(remote string) error) {
	if passed, ok := beneath(connection).(*passedOn); ok {
		passed.told = do
	}
}

// beneath is a connection without its encryption, or whatever else has one within, and without what its proxy says.
func beneath(connection net.Conn) net.Conn {
	for {
		outer, ok := connection.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		connection = outer.NetConn()
	}
	if said, ok := connection.(*proxyproto.Conn); ok {
		return said.Raw()
	}
	return connection
}
