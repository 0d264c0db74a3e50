// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"visavis/capture/internal/waiting"
)

// readable is a connection from which some bytes come.
type readable struct {
	net.Conn
	io.Reader
}

func (r readable) Read(into []byte) (int, error) { return r.Reader.Read(into) }

// publishPacket is a PUBLISH as a broker would send it.
func publishPacket(payload []byte) []byte {
	p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
	p.TopicName, p.Qos, p.MessageID, p.Payload = "visavis/porch/door/set/detect", 1, 7, payload
	var written bytes.Buffer
	if err := p.Write(&written); err != nil {
		panic(err)
	}
	return written.Bytes()
}

func TestALongMessageIsCutOffAndWhatFollowsIsWhole(t *testing.T) {
	var stream bytes.Buffer
	stream.Write(publishPacket([]byte("ON")))
	stream.Write(publishPacket(bytes.Repeat([]byte("x"), 1<<20)))
	stream.Write([]byte{0xd0, 0}) // PINGRESP: nothing after the head
	stream.Write(publishPacket([]byte("OFF")))
	short := shorten(readable{Reader: &stream})
	for _, want := range []int{2, packetMost - 2 - len("visavis/porch/door/set/detect") - 2, -1, 3} {
		got, err := packets.ReadPacket(short)
		if err != nil {
			t.Fatal(err)
		}
		if p, is := got.(*packets.PublishPacket); is != (want >= 0) || is && len(p.Payload) != want {
			t.Errorf("%v, want a payload of %d bytes", got, want)
		}
	}
}

// FuzzShortened holds that anything a broker sends is passed on as it is while its packets are short, and ends in an error or the end.
func FuzzShortened(f *testing.F) {
	f.Add(publishPacket([]byte("ON")))
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Add([]byte{0xd0, 0, 0x30, 0x80, 0x00, 1})
	f.Fuzz(func(t *testing.T, sent []byte) {
		got, err := io.ReadAll(shorten(readable{Reader: bytes.NewReader(sent)}))
		if len(got) > len(sent) {
			t.Fatalf("%d bytes became %d", len(sent), len(got))
		}
		if err != nil && err != errLength {
			t.Fatal(err)
		}
	})
}

func TestHugeMessagesTakeNoMemory(t *testing.T) {
	b := startBroker(t, subscriptions)
	b.start()
	p, c := commanded(t, b)
	const size = 32 << 20
	file := filepath.Join(t.TempDir(), "huge")
	if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(b.address)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	said, err := exec.Command("mosquitto_pub", "-p", port, "-q", "1", "-t", "visavis/porch/door/set/detect", "-f", file).CombinedOutput()
	if err != nil {
		t.Fatalf("mosquitto_pub: %v: %s", err, said)
	}
	waiting.Until(t, "it is refused", func() bool { return p.Commands().Refused["malformed"] == 1 })
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > size/4 {
		t.Errorf("%d MiB were allocated for a message of %d", grown>>20, size>>20)
	}
	b.sender()("visavis/porch/door/set/detect", "OFF", false)
	waiting.Until(t, "the connection still works", func() bool { return len(c.all()) == 1 })
}
