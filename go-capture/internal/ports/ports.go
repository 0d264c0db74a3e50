// SPDX-License-Identifier: Apache-2.0

// Package ports gives tests addresses for programs that open them a while later, or again and again.
package ports

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"
)

// below is how many ports in front of the kernel's own range are the tests', and apart a prime, so that test programs side by side, whose
// process numbers are neighbours, begin far from each other. tests/ports.py chooses in the same way.
const below, apart = 12_000, 641

const rangeFile = "/proc/sys/net/ipv4/ip_local_port_range"

var turn atomic.Int64

// Free is an address on loopback where nobody listens, that the kernel gives to nobody's connection, and that this program has not
// had yet.
func Free(t testing.TB) *net.TCPAddr {
	t.Helper()
	end := kernels(t)
	first := max(1_024, end-below)
	for range end - first {
		port := first + (os.Getpid()*apart+int(turn.Add(1)))%(end-first)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue // taken
		}
		if err := listener.Close(); err != nil {
			t.Fatal(err)
		}
		return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
	}
	t.Fatalf("each port from %d to %d is taken", first, end-1)
	return nil
}

// kernels is the first port that the kernel gives to connections by itself.
func kernels(t testing.TB) (first int) {
	t.Helper()
	text, err := os.ReadFile(rangeFile)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(text), &first); err != nil {
		t.Fatalf("%s: %v", rangeFile, err)
	}
	return first
}
