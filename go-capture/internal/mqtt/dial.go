// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	paho "github.com/eclipse/paho.mqtt.golang"
)

// dialer opens one connection to the broker for paho, which knows no context: a broker that hangs, or a host that is switched off,
// must not hold up the end of the daemon. Until keep is called the connection is closed when ctx ends.
type dialer struct {
	ctx    context.Context
	tls    *tls.Config // nil for plain MQTT
	most   time.Duration
	opened *atomic.Uint64
	unbind func() bool // lets the connection outlive ctx
	cut    func()      // closes the connection without a farewell
}

func (d *dialer) open(broker *url.URL, _ paho.ClientOptions) (net.Conn, error) {
	connection, err := d.dial(broker)
	if err != nil {
		return nil, err
	}
	d.opened.Add(1)
	d.cut = func() { _ = connection.Close() } // it goes either way; whoever reads from it hears of it
	d.unbind = context.AfterFunc(d.ctx, d.cut)
	return shorten(&pieces{Conn: connection, ctx: d.ctx}), nil
}

func (d *dialer) dial(broker *url.URL) (net.Conn, error) {
	plain := &net.Dialer{Timeout: d.most}
	switch {
	case strings.HasPrefix(broker.Scheme, "ws"):
		return d.dialWebSocket(broker, plain)
	case d.tls != nil:
		return (&tls.Dialer{NetDialer: plain, Config: d.trust(broker)}).DialContext(d.ctx, "tcp", broker.Host)
	}
	return plain.DialContext(d.ctx, "tcp", broker.Host)
}

// trust is what the broker's certificate is held against: none names the zone of a link-local address.
func (d *dialer) trust(broker *url.URL) *tls.Config {
	address, _, zoned := strings.Cut(broker.Hostname(), "%")
	if d.tls == nil || !zoned {
		return d.tls
	}
	named := d.tls.Clone()
	named.ServerName = address
	return named
}

// dialWebSocket speaks MQTT inside a WebSocket, for networks that let nothing else through. No proxy of the environment is asked: the
// address in the settings is the only one that is ever dialled.
func (d *dialer) dialWebSocket(broker *url.URL, plain *net.Dialer) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, d.most)
	defer cancel()
	transport := &http.Transport{DialContext: plain.DialContext, TLSClientConfig: d.trust(broker)}
	defer transport.CloseIdleConnections() // of a server that answered, but not with a WebSocket
	client := &http.Client{Transport: transport, CheckRedirect: noRedirect}
	socket, _, err := websocket.Dial(ctx, broker.String(), &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"mqtt"}})
	if err != nil {
		return nil, err
	}
	return &webSocket{websocket.NetConn(context.Background(), socket, websocket.MessageBinary), socket}, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// webSocket is closed at once: a broker that hangs answers no closing handshake, and MQTT has said its farewell before.
type webSocket struct {
	net.Conn
	socket *websocket.Conn
}

func (w *webSocket) Close() error {
	err := w.socket.CloseNow()
	_ = w.Conn.Close() // ends its timers; the socket is closed already
	return err
}

// keep lets the connection outlive ctx, for the farewell.
func (d *dialer) keep() {
	if d.unbind != nil {
		d.unbind()
	}
}
