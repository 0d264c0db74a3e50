// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"

	"visavis/capture/internal/waiting"
)

// connect opens a connection, asks once and keeps it; nil when it is closed without an answer.
func (r *running) connect(t *testing.T) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	_ = writeAll(connection, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") // it may be closed already
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return nil
	}
	answer.Body.Close()
	return connection
}

func TestMoreConnectionsThanThereMayBeAreClosedAtOnce(t *testing.T) {
	r := serveSettings(t, Settings{Listen: "127.0.0.1:0", MaxConnections: 3}, oneCamera{})
	open := []net.Conn{r.connect(t), r.connect(t), r.connect(t)}
	if r.connect(t) != nil {
		t.Error("a fourth is answered")
	}
	for i, connection := range open {
		if connection == nil {
			t.Fatalf("connection %d is not answered", i)
		}
		connection.Close()
	}
	waiting.Until(t, "there is room again", func() bool { return r.connect(t) != nil })
}
