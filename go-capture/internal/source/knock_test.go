// SPDX-License-Identifier: Apache-2.0

package source

import (
	"encoding/binary"
	"net"
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
