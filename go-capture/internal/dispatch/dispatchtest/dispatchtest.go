// SPDX-License-Identifier: Apache-2.0

// Package dispatchtest connects workers to the dispatcher of a test.
package dispatchtest

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

// Stuck connects a worker that takes one frame and never answers. It may be closed.
func Stuck(t testing.TB, dispatcher *dispatch.Dispatcher) net.Conn {
	t.Helper()
	connection, err := net.Dial("unixpacket", serve(t, dispatcher))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	hello, packet := ring.Hello{Major: ring.Major, Credit: 1}, make([]byte, ring.HelloBytes)
	hello.Name.Set("tester")
	hello.Model.Set("centerface@fake")
	hello.Put(packet)
	if _, err := connection.Write(packet); err != nil {
		t.Fatal(err)
	}
	waiting.Until(t, "the worker is in", func() bool {
		ready, _ := dispatcher.Capacity(0)
		return ready > 0
	})
	return connection
}

// serve returns the path of the socket at which workers find the dispatcher until the test ends.
func serve(t testing.TB, dispatcher *dispatch.Dispatcher) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "frames.sock")
	listener, err := dispatch.ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- dispatcher.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return path
}
