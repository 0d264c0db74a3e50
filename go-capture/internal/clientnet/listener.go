// SPDX-License-Identifier: Apache-2.0

package clientnet

import (
	"crypto/tls"
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
	return &proxyproto.Listener{Listener: of, ReadHeaderTimeout: saidWithin, ConnPolicy: p.policy}
}

func (p Proxies) policy(of proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
	if from, err := netip.ParseAddrPort(of.Upstream.String()); err != nil || !p.Hold(from.Addr()) {
		return proxyproto.SKIP, nil
	}
	return proxyproto.USE, nil
}

// Direct is the connection that was accepted, whoever speaks through it. Its addresses are there at once; those of one whose proxy has yet
// to say more are waited for.
func Direct(connection net.Conn) net.Conn {
	if encrypted, ok := connection.(*tls.Conn); ok {
		connection = encrypted.NetConn()
	}
	if said, ok := connection.(*proxyproto.Conn); ok {
		return said.Raw()
	}
	return connection
}
