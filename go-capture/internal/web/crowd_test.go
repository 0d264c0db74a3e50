// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bufio"
	"net"
	"net/http"
	"strings"
	"testing"
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
	await(t, "there is room again", func() bool { return r.connect(t) != nil })
}

func TestOneAddressHasOnlyItsShareOfConnections(t *testing.T) {
	balancers, err := parseProxies([]string{"192.0.2.0/24"})
	if err != nil {
		t.Fatal(err)
	}
	c := newCrowd(Settings{MaxConnections: 100, MaxPerAddress: 2}, balancers)
	come := func(remote string) (net.Conn, bool) {
		connection, other := net.Pipe()
		t.Cleanup(func() { connection.Close(); other.Close() })
		return connection, c.enter(connection, remote)
	}
	for _, remote := range []string{"198.51.100.7:1", "[2001:db8:1:2::1]:1", "[::ffff:198.51.100.8]:1"} {
		come(remote)
		second, in := come(remote)
		if _, third := come(remote); !in || third {
			t.Errorf("%s: the second %v, the third %v", remote, in, third)
		}
		c.leave(second)
		if _, in := come(remote); !in {
			t.Errorf("%s: not after one has left", remote)
		}
	}
	if _, in := come("[2001:db8:1:2:3::9]:1"); in {
		t.Error("the same household has more with another address")
	}
	for _, many := range []string{"127.0.0.1:1", "[::1]:1", "192.0.2.9:1"} {
		for range 5 {
			if _, in := come(many); !in {
				t.Errorf("%s speaks for many", many)
			}
		}
	}
}
