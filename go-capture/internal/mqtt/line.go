// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/coder/websocket"
	paho "github.com/eclipse/paho.mqtt.golang"
)

// line dials the broker for paho, which knows no context: a broker that hangs, or a host that is switched off, must not
// hold up the end of the daemon. Until keep is called the connection is closed when ctx ends.
type line struct {
	ctx    context.Context
	tls    *tls.Config // nil for plain MQTT
	forget func() bool
}

func (l *line) open(broker *url.URL, _ paho.ClientOptions) (net.Conn, error) {
	connection, err := l.dial(broker)
	if err != nil {
		return nil, err
	}
	l.forget = context.AfterFunc(l.ctx, func() { _ = connection.Close() }) // whoever reads from it hears of it
	return shorten(connection), nil
}

func (l *line) dial(broker *url.URL) (net.Conn, error) {
	plain := &net.Dialer{Timeout: connectTimeout}
	switch {
	case strings.HasPrefix(broker.Scheme, "ws"):
		return l.dialWeb(broker, plain)
	case l.tls != nil:
		return (&tls.Dialer{NetDialer: plain, Config: l.tls}).DialContext(l.ctx, "tcp", broker.Host)
	}
	return plain.DialContext(l.ctx, "tcp", broker.Host)
}

// dialWeb speaks MQTT inside a WebSocket, for networks that let nothing else through. No proxy of the environment is asked: the
// address in the settings is the only one that is ever dialled.
func (l *line) dialWeb(broker *url.URL, plain *net.Dialer) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(l.ctx, connectTimeout)
	defer cancel()
	transport := &http.Transport{DialContext: plain.DialContext, TLSClientConfig: l.tls}
	defer transport.CloseIdleConnections() // of a server that answered, but not with a WebSocket
	client := &http.Client{Transport: transport, CheckRedirect: noRedirect}
	socket, _, err := websocket.Dial(ctx, broker.String(), &websocket.DialOptions{HTTPClient: client, Subprotocols: []string{"mqtt"}})
	if err != nil {
		return nil, err
	}
	return &webLine{websocket.NetConn(context.Background(), socket, websocket.MessageBinary), socket}, nil
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// webLine is closed at once: a broker that hangs answers no closing handshake, and MQTT has said its farewell before.
type webLine struct {
	net.Conn
	socket *websocket.Conn
}

func (w *webLine) Close() error {
	err := w.socket.CloseNow()
	_ = w.Conn.Close() // ends its timers; the socket is closed already
	return err
}

// keep lets the connection outlive ctx, for the farewell.
func (l *line) keep() {
	if l.forget != nil {
		l.forget()
	}
}
