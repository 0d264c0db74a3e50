// SPDX-License-Identifier: Apache-2.0

package connlimit

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"visavis/capture/internal/clientnet"
	"visavis/capture/internal/waiting"
)

func TestOneAddressHasOnlyItsShareOfConnections(t *testing.T) {
	balancers, err := clientnet.ParseProxies([]string{"192.0.2.0/24", "fd00::5"})
	if err != nil {
		t.Fatal(err)
	}
	c := New(100, 2, balancers.Hold)
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
		c.Leave(second)
		if _, in := come(remote); !in {
			t.Errorf("%s: not after one has left", remote)
		}
	}
	if _, in := come("[2001:db8:1:2:3::9]:1"); in {
		t.Error("the same network has more with another address")
	}
	for _, many := range []string{"127.0.0.1:1", "[::1]:1", "192.0.2.9:1", "[fd00::5]:1"} {
		for range 5 {
			if _, in := come(many); !in {
				t.Errorf("%s speaks for many", many)
			}
		}
	}
}

// A neighbour has as many addresses of IPv6 as it likes.
func TestOfThoseWhoHaveLeftNothingIsKept(t *testing.T) {
	c := New(100, 2, func(netip.Addr) bool { return false })
	for n := range 1000 {
		connection, other := net.Pipe()
		if !c.enter(connection, fmt.Sprintf("[2001:db8:1:%x::1]:1", n)) {
			t.Fatalf("number %d is not let in", n)
		}
		c.Leave(other) // who was not let in
		c.Leave(connection)
		c.Leave(connection)
		connection.Close()
		other.Close()
	}
	if len(c.inside) > 0 || len(c.addresses) > 0 {
		t.Errorf("%d connections and %d addresses are kept", len(c.inside), len(c.addresses))
	}
}

func TestAListenerAcceptsSoManyAndAgainWhenOneIsClosed(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bounded := New(1, 1, func(netip.Addr) bool { return false }).Listener(inner)
	t.Cleanup(func() { bounded.Close() })
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			connection, err := bounded.Accept()
			if err != nil {
				return // it was closed
			}
			accepted <- connection
		}
	}()
	dial := func() net.Conn {
		connection, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { connection.Close() })
		if err := connection.SetReadDeadline(time.Now().Add(waiting.Most)); err != nil {
			t.Fatal(err)
		}
		return connection
	}
	dial()
	first := waiting.For(t, "the first is accepted", accepted)
	if _, err := dial().Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a second is not closed: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	dial()
	waiting.For(t, "one is accepted again", accepted).Close()
}

// behind is a limiter of so many connections, and for each client, and its listener behind these balancers.
func behind(t *testing.T, most, share int, balancers ...string) (*Limiter, net.Listener) {
	t.Helper()
	trusted, err := clientnet.ParseProxies(balancers)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	limiter := New(most, share, trusted.Hold)
	listener := limiter.Listener(trusted.Listener(inner))
	t.Cleanup(func() { listener.Close() })
	return limiter, listener
}

func TestABalancersClientHasOnlyItsShareOfConnections(t *testing.T) {
	limiter, listener := behind(t, 100, 2, "127.0.0.1", "192.0.2.1")
	come := func(client string) (net.Conn, bool) {
		balancer, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { balancer.Close() })
		if _, err := fmt.Fprintf(balancer, "PROXY TCP4 %s 203.0.113.1 1234 443\r\n.", client); err != nil {
			t.Fatal(err)
		}
		accepted, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { accepted.Close() })
		_, err = accepted.Read(make([]byte, 1))
		return accepted, err == nil
	}
	for _, client := range []string{"203.0.113.7", "127.0.0.9"} { // that loopback is not this machine's
		come(client)
		second, in := come(client)
		third, more := come(client)
		if !in || more {
			t.Errorf("%s: the second %v, the third %v", client, in, more)
		}
		_, _ = second.Close(), third.Close()
		_, again := come(client)
		if _, more := come(client); !again || more {
			t.Errorf("%s: one has left, and another is %v, one more %v", client, again, more)
		}
	}
	for range 5 {
		if _, in := come("192.0.2.1"); !in {
			t.Error("a balancer before the balancer speaks for many")
		}
	}
	if open := len(limiter.inside); open != 9 {
		t.Errorf("%d are open", open)
	}
}

// Balancers keep connections for later, of which they have nothing to say yet.
func TestABalancerThatSaysNothingYetHoldsNobodyUp(t *testing.T) {
	_, listener := behind(t, 9, 9, "127.0.0.1")
	var balanced, all []net.Conn
	for range 3 {
		silent, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { silent.Close() })
		accepted, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { accepted.Close() })
		balanced, all = append(balanced, silent), append(all, accepted)
	}
	for n, accepted := range all { // whoever had been waited for would be taken for the client itself
		_, said := fmt.Fprint(balanced[n], "PROXY TCP4 203.0.113.7 203.0.113.1 1234 443\r\n.")
		_, heard := accepted.Read(make([]byte, 1))
		if client := accepted.RemoteAddr().String(); client != "203.0.113.7:1234" {
			t.Errorf("the client is %s: %v", client, errors.Join(said, heard))
		}
	}
}

// Its balancer would wait for an answer.
func TestAConnectionWhoseClientHasTooManyIsClosed(t *testing.T) {
	limiter, listener := behind(t, 9, 1, "127.0.0.1")
	var balancer net.Conn
	for range 2 {
		dialled, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		balancer = dialled
		t.Cleanup(func() { dialled.Close() })
		_, said := fmt.Fprint(balancer, "PROXY TCP4 203.0.113.7 203.0.113.1 1234 443\r\n")
		accepted, err := listener.Accept()
		if err != nil {
			t.Fatal(errors.Join(said, err))
		}
		t.Cleanup(func() { accepted.Close() })
		accepted.RemoteAddr() // reads it
	}
	if err := balancer.SetReadDeadline(time.Now().Add(waiting.Most)); err != nil {
		t.Fatal(err)
	}
	if _, err := balancer.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the balancer of the second reads %v", err)
	}
	if open := len(limiter.inside); open != 1 {
		t.Errorf("%d are open", open)
	}
}

func TestWhetherAnAddressSpeaksForManyIsAskedOfWhatItIsInIPv4(t *testing.T) {
	var asked []netip.Addr
	c := New(9, 1, func(address netip.Addr) bool {
		asked = append(asked, address)
		return true
	})
	for range 2 {
		connection, other := net.Pipe()
		t.Cleanup(func() { connection.Close(); other.Close() })
		if !c.enter(connection, "[::ffff:10.0.0.1]:1") || !c.pass(connection, "[::ffff:10.0.0.2]:1") {
			t.Error("one that speaks for many has too many")
		}
	}
	first, second := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	if want := []netip.Addr{first, second, first, second}; !slices.Equal(asked, want) {
		t.Errorf("it was asked about %v, want %v", asked, want)
	}
}
