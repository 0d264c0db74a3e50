// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"testing"

	"visavis/capture/internal/waiting"
)

// onePacket is what a network carries at once.
const onePacket = 1448

// takesOnePacket listens as a camera whose TLS takes what one read brings for the whole first message, and waits for ever if it is not.
func takesOnePacket(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		t.Cleanup(func() { connection.Close() })
		hello := make([]byte, onePacket)
		if n, err := connection.Read(hello); err == nil && n >= 5 && int(binary.BigEndian.Uint16(hello[3:5])) == n-5 {
			connection.Close()
		}
	}()
	return listener.Addr().String()
}

func TestACameraThatTakesOnePacketForAGreetingAnswers(t *testing.T) {
	if err := knock(t.Context(), "rtsps://"+takesOnePacket(t)+"/door", 10*openLimit); err != nil {
		t.Error(err)
	}
}

func TestACameraAtALinkLocalAddressIsGreetedToo(t *testing.T) {
	for _, uri := range []string{"rtsp://[fe80::1%lo]:1/door", "rtsp://porch:secret@[fe80::1%lo]:1/door"} {
		if knock(t.Context(), uri, waiting.Most) == nil {
			t.Errorf("nobody is at %s", uri)
		}
	}
}

// What differed would be news in the log at each try.
func TestWhyACameraDoesNotAnswerIsTheSameAtEachTry(t *testing.T) {
	usual := net.DefaultResolver
	t.Cleanup(func() { net.DefaultResolver = usual })
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", "127.0.0.1:1") // nobody is there
	}}
	for uri, says := range map[string]string{
		"rtsp://camera.test/door":  `does not answer for "camera.test"`,
		"rtsp://127.0.0.1:1/door":  "dial: connection refused",
		"rtsps://127.0.0.1:1/door": "dial: connection refused",
	} {
		first, second := knock(t.Context(), uri, waiting.Most), knock(t.Context(), uri, waiting.Most)
		if first == nil || second == nil || first.Error() != second.Error() || !strings.Contains(first.Error(), says) {
			t.Errorf("%s: %v, then %v; want %q", uri, first, second, says)
		}
	}
}

func TestANameThatIsNotFoundIsSaidToBeSo(t *testing.T) {
	err := always(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "camera.test", Server: "127.0.0.53:53", IsNotFound: true}})
	if err.Error() != `the name "camera.test" is not found` {
		t.Error(err)
	}
}
