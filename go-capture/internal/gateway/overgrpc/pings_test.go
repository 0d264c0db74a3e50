// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"visavis/capture/internal/waiting"
)

// pinged sends pings without a call, and returns how many are answered before the server hangs up.
func pinged(t *testing.T, pause time.Duration, pings int) int {
	t.Helper()
	server, err := New(Settings{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	server.pings = pause
	listener, err := server.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return answeredPings(t, listener.Addr().String(), pings)
}

func answeredPings(t *testing.T, address string, pings int) int {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(waiting.Most))
	framer := http2.NewFramer(connection, connection)
	_, _ = io.WriteString(connection, http2.ClientPreface)
	_ = framer.WriteSettings()
	for number := range pings {
		_ = framer.WritePing(false, [8]byte{byte(number)})
		if !answered(framer) {
			return number
		}
	}
	return pings
}

// answered reads up to the answer of a ping.
func answered(framer *http2.Framer) bool {
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return false
		}
		switch frame.(type) {
		case *http2.PingFrame:
			return true
		case *http2.GoAwayFrame:
			return false
		}
	}
}

func TestAClientThatPingsNowAndThenStaysWithoutACallToo(t *testing.T) {
	if clientPause >= 10*time.Second {
		t.Errorf("clients of grpc-go ping every 10 s where they are told to, and %v is more", clientPause)
	}
	if got := pinged(t, time.Nanosecond, 20); got != 20 {
		t.Errorf("the connection ends after %d pings", got)
	}
}

func TestAClientThatDoesNothingButPingIsCutOff(t *testing.T) {
	if got := pinged(t, clientPause, 1000); got == 1000 {
		t.Error("1,000 pings in a row are answered")
	}
}
