// SPDX-License-Identifier: Apache-2.0

package clientnet

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/pires/go-proxyproto"
)

// accepted is a connection from one of loopback's addresses, of which something has been sent, at the other end.
func accepted(t *testing.T, proxies Proxies, from, sent string) net.Conn {
	t.Helper()
	raw, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := proxies.Listener(raw)
	t.Cleanup(func() { _ = listener.Close() })
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	client, err := dialer.Dial("tcp", raw.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(client, sent); err != nil {
		t.Fatal(err)
	}
	_ = client.(*net.TCPConn).CloseWrite()
	connection, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), connection.Close() })
	return connection
}

// withFamily is a header of version 2 with another family and protocol.
func withFamily(header []byte, family byte) string {
	changed := bytes.Clone(header)
	changed[len(proxyproto.SIGV2)+1] = family
	return string(changed)
}

func TestAProxyMaySayWhoseAConnectionIs(t *testing.T) {
	proxies, err := ParseProxies([]string{"127.0.0.2"})
	if err != nil {
		t.Fatal(err)
	}
	second := &proxyproto.Header{Version: 2, Command: proxyproto.PROXY, TransportProtocol: proxyproto.TCPv6,
		SourceAddr: &net.TCPAddr{IP: net.ParseIP("2001:db8::7"), Port: 80}, DestinationAddr: &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 443}}
	binary, err := second.Format()
	if err != nil {
		t.Fatal(err)
	}
	second.Command = proxyproto.LOCAL
	local, err := second.Format()
	if err != nil {
		t.Fatal(err)
	}
	first := "PROXY TCP4 203.0.113.7 203.0.113.1 1234 443\r\n"
	for name, c := range map[string]struct{ from, said, client, read string }{
		"version 1":                  {"127.0.0.2", first, "203.0.113.7:1234", "POST /"},
		"version 2":                  {"127.0.0.2", string(binary), "[2001:db8::7]:80", "POST /"},
		"version 2 of itself":        {"127.0.0.2", string(local), "127.0.0.2", "POST /"},
		"version 1, of nobody known": {"127.0.0.2", "PROXY UNKNOWN\r\n", "127.0.0.2", "POST /"},
		"nothing":                    {"127.0.0.2", "", "127.0.0.2", "POST /"},
		"somebody else":              {"127.0.0.3", first, "127.0.0.3", first + "POST /"},
		"nonsense":                   {"127.0.0.2", "PROXY TCP4 nowhere\r\n", "127.0.0.2", ""},
		"no protocol":                {"127.0.0.2", withFamily(binary, 0x20), "127.0.0.2", ""},
		"datagrams":                  {"127.0.0.2", withFamily(binary, 0x22), "127.0.0.2", ""},
		"no protocol, of itself":     {"127.0.0.2", withFamily(local, 0x20), "127.0.0.2", "POST /"},
		"a method of HTTP":           {"127.0.0.2", "PROXY / HTTP/1.1\r\n", "127.0.0.2", "PROXY / HTTP/1.1\r\nPOST /"},
		"half a header":              {"127.0.0.2", "PROXY TC", "127.0.0.2", "PROXY TCPOST /"},
	} {
		connection := accepted(t, proxies, c.from, c.said+"POST /")
		client, read := connection.RemoteAddr().String(), make([]byte, 100)
		n, _ := io.ReadFull(connection, read)
		if host, _, _ := net.SplitHostPort(client); client != c.client && host != c.client || string(read[:n]) != c.read {
			t.Errorf("%s: %s sends %q, want %s and %q", name, client, read[:n], c.client, c.read)
		}
		if direct := Direct(connection).RemoteAddr().(*net.TCPAddr); direct.IP.String() != c.from {
			t.Errorf("%s: the connection is from %v", name, direct)
		}
	}
}
