// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"

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
	plain := &net.Dialer{Timeout: connectTimeout}
	dial := plain.DialContext
	if l.tls != nil {
		dial = (&tls.Dialer{NetDialer: plain, Config: l.tls}).DialContext
	}
	connection, err := dial(l.ctx, "tcp", broker.Host)
	if err != nil {
		return nil, err
	}
	l.forget = context.AfterFunc(l.ctx, func() { _ = connection.Close() }) // whoever reads from it hears of it
	return connection, nil
}

// keep lets the connection outlive ctx, for the farewell.
func (l *line) keep() {
	if l.forget != nil {
		l.forget()
	}
}
