// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/gateway/decode"
	"visavis/capture/internal/waiting"
)

const opening = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

// FuzzStreamBytes: whatever comes over a stream's connection, the stream ends with it, and every picture of it has ended.
func FuzzStreamBytes(f *testing.F) {
	for _, sent := range []string{
		"", "\x82\x84abcd1234", "\x82\xfe\x00\x7eabcd", "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xffabcd", "\x81\x80abcd", "\x02\x81abcdx\x80\x81abcdy",
		"\x82\x05hello", "\x88\x82abcd\x03\xe8", "\x89\x80abcd", "\xf2\x80abcd", "\x88\x81abcdx", "\x82\x80abcd\x82\x80abcd",
	} {
		f.Add([]byte(sent))
	}
	dispatcher := dispatch.New(dispatch.Options{Outcome: func(dispatch.Outcome) {}})
	g, err := gateway.New(gateway.Settings{
		InputWidth: 32, InputHeight: 32, Workers: 1, Credit: 1, Queue: 1, QueuePerClient: 1, Streams: 4, Limits: limits,
		Tools: gateway.Tools{Decode: decode.Upright},
	}, dispatcher)
	if err != nil {
		f.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(g.ServeStream))
	f.Cleanup(func() { server.Close(); g.Close() })
	f.Fuzz(func(t *testing.T, sent []byte) {
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		_ = connection.SetDeadline(time.Now().Add(waiting.Most)) // only ends a test that hangs
		if _, err := connection.Write(append([]byte(opening), sent...)); err != nil {
			t.Fatal(err)
		}
		_ = connection.(*net.TCPConn).CloseWrite() // it may be closed from the other end already
		if _, err := io.Copy(io.Discard, connection); isTimeout(err) {
			t.Fatal("the stream goes on without its client")
		}
		waiting.Until(t, "everything has ended", func() bool {
			figures := g.Figures()
			return figures.Open == 0 && figures.Streams == 0
		})
	})
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}
