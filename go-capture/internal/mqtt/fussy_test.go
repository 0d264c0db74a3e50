// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"

	"visavis/capture/internal/hub"
	"visavis/capture/internal/waiting"
)

// fussy is a broker that reads slowly, or hangs up at what is too long for it, as some do: mosquitto cannot do either.
type fussy struct {
	address string
	most    int  // bytes of a payload
	rate    int  // bytes a second; 0: as fast as it can
	forbids bool // whatever anybody wants to hear
	deaf    bool // to whatever anybody wants to hear
	asks    func(packets.ControlPacket)

	mu       sync.Mutex
	sessions int
	heard    []message
}

func startFussy(t *testing.T, f *fussy) *fussy {
	t.Helper()
	short := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) { // as over Ethernet: the kernels keep little
		controlled := c.Control(func(of uintptr) {
			if err = syscall.SetsockoptInt(int(of), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 1400); err == nil {
				err = syscall.SetsockoptInt(int(of), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 8<<10)
			}
		})
		if controlled != nil {
			return controlled
		}
		return err
	}}
	listener, err := short.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.address = listener.Addr().String()
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			caller, err := listener.Accept()
			if err != nil {
				return
			}
			go f.serve(caller)
		}
	}()
	return f
}

// serve speaks with one device until that or the broker has had enough.
func (f *fussy) serve(caller net.Conn) {
	defer caller.Close()
	f.mu.Lock()
	f.sessions++
	f.mu.Unlock()
	for {
		packet, err := packets.ReadPacket(f.slowly(caller))
		if err != nil {
			return
		}
		if f.asks != nil {
			f.asks(packet)
		}
		answer := f.answer(packet)
		if _, ends := packet.(*packets.PublishPacket); ends && answer == nil {
			return
		}
		if answer != nil && answer.Write(caller) != nil {
			return
		}
	}
}

type slow struct {
	net.Conn
	rate int
}

func (f *fussy) slowly(caller net.Conn) net.Conn {
	if f.rate == 0 {
		return caller
	}
	return &slow{caller, f.rate}
}

// Read implements net.Conn.
func (s *slow) Read(into []byte) (int, error) {
	n, err := s.Conn.Read(into[:min(len(into), s.rate/20)])
	time.Sleep(time.Duration(n) * time.Second / time.Duration(s.rate))
	return n, err
}

// answer is nil for what needs none, and for a message that is too long.
func (f *fussy) answer(asked packets.ControlPacket) packets.ControlPacket {
	id := asked.Details().MessageID
	switch p := asked.(type) {
	case *packets.ConnectPacket:
		return packets.NewControlPacket(packets.Connack)
	case *packets.SubscribePacket:
		if f.deaf {
			return nil
		}
		granted := p.Qoss
		if f.forbids {
			granted = bytes.Repeat([]byte{0x80}, len(granted))
		}
		return &packets.SubackPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Suback}, MessageID: id, ReturnCodes: granted}
	case *packets.UnsubscribePacket:
		return &packets.UnsubackPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Unsuback}, MessageID: id}
	case *packets.PingreqPacket:
		return packets.NewControlPacket(packets.Pingresp)
	case *packets.PublishPacket:
		return f.take(p, id)
	}
	return nil
}

func (f *fussy) take(p *packets.PublishPacket, id uint16) packets.ControlPacket {
	if f.most > 0 && len(p.Payload) > f.most {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.heard = append(f.heard, message{topic: p.TopicName, payload: string(p.Payload)})
	if p.Qos == 0 {
		return packets.NewControlPacket(packets.Pingresp) // nobody waits for it
	}
	return &packets.PubackPacket{FixedHeader: packets.FixedHeader{MessageType: packets.Puback}, MessageID: id}
}

// last is what came last in a topic, and in how many sessions anything came.
func (f *fussy) last(topic string) (payload string, sessions int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.heard {
		if m.topic == topic {
			payload = m.payload
		}
	}
	return payload, f.sessions
}

func (f *fussy) settings() Settings {
	return Settings{URL: "mqtt://" + f.address, Prefix: "visavis", Device: "porch"}
}

func picture(bytes int) Picture { return Picture{JPEG: []byte(strings.Repeat("p", bytes))} }

const topicLastFace = "visavis/porch/door/last_face"

func TestALargePictureArrivesOverASlowLine(t *testing.T) {
	f := startFussy(t, &fussy{rate: 100_000})
	p := withEvents(t, newPublisher(t, f.settings()))
	run(t, p)
	waiting.Until(t, "connected", p.Connected)
	large := picture(400_000)
	p.SetLastFace("door", large)
	for n := range 20 { // meanwhile
		p.TakeEvent(happening(n))
	}
	waiting.Until(t, "the picture is there", func() bool { payload, _ := f.last(topicLastFace); return payload == string(large.JPEG) })
	waiting.Until(t, "the events are there", func() bool { return p.EventsWaiting() == 0 })
	if _, sessions := f.last(""); sessions != 1 {
		t.Errorf("it took %d connections", sessions)
	}
}

func TestAPictureThatABrokerRefusesEndsTwoConnectionsAndNoMore(t *testing.T) {
	const topicFaces = "visavis/porch/door/faces"
	f := startFussy(t, &fussy{most: 64 << 10})
	p := withEvents(t, newPublisher(t, f.settings()))
	run(t, p)
	p.SetSnapshot("door", picture(60_000))
	p.SetLastFace("door", picture(100_000))
	waiting.Until(t, "it is told that pictures are not sent", func() bool {
		return slices.ContainsFunc(p.faults(p.memory), func(one Fault) bool {
			return one.Part == "large messages of mqtt" && strings.Contains(one.Error, "97 KB") && strings.Contains(one.Error, "max_packet_size") &&
				strings.Contains(one.Error, topicLastFace)
		})
	})
	p.SetLastFace("door", picture(110_000)) // the next who appears
	p.TakeState(hub.State{Camera: "door", Confirmed: 3})
	p.TakeEvent(happening(0))
	p.SetSnapshot("door", picture(50_000))
	waiting.Until(t, "states, events and pictures that are smaller go on", func() bool {
		faces, _ := f.last(topicFaces)
		snapshot, _ := f.last("visavis/porch/door/snapshot")
		return faces == "3" && p.EventsWaiting() == 0 && len(snapshot) == 50_000
	})
	if _, sessions := f.last(""); sessions != limitEnds+1 || !p.Connected() {
		t.Errorf("%d connections, connected: %t", sessions, p.Connected())
	}
}

// visitor writes as a link does, while its kernel keeps little.
// What Home Assistant is told of thirty cameras is one message.
func TestADeviceWithManyCamerasSpeaksToABrokerThatTakesNoLargeMessages(t *testing.T) {
	f := startFussy(t, &fussy{most: 64 << 10})
	s := f.settings()
	s.Discovery = discoverDevice
	b, err := NewBrokers(s)
	if err != nil {
		t.Fatal(err)
	}
	var places []Place
	for n := range 30 {
		places = append(places, Place{Camera: fmt.Sprintf("camera%d", n), Zones: []string{"step", "path"}, Pictures: true})
	}
	b.Expect(places)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() { stop(); <-ended })
	waiting.Until(t, "it says what it does not send", func() bool {
		return slices.ContainsFunc(b.Faults(), func(one Fault) bool {
			return strings.Contains(one.Error, "homeassistant/device/visavis_porch/config") && strings.Contains(one.Error, "mqtt.discovery")
		})
	})
	waiting.Until(t, "it is there", func() bool { told, _ := f.last(topicStatus); return told == "online" })
	b.SetCameraStatus("camera29", true)
	waiting.Until(t, "the rest arrives", func() bool { told, _ := f.last("visavis/porch/camera29/status"); return told == "online" })
	if _, sessions := f.last(topicStatus); sessions != limitEnds+1 {
		t.Errorf("%d connections", sessions)
	}
}

func (f *fussy) visitor(t *testing.T) paho.Client {
	t.Helper()
	open := func(*url.URL, paho.ClientOptions) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.address)
		if err != nil {
			return nil, err
		}
		return &pieces{Conn: conn, ctx: t.Context()}, conn.(*net.TCPConn).SetWriteBuffer(8 << 10)
	}
	client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + f.address).SetCustomOpenConnectionFn(open).SetAutoReconnect(false).
		SetProtocolVersion(4).SetWriteTimeout(writeTimeout))
	if token := client.Connect(); token.Wait() && token.Error() != nil {
		t.Fatal(token.Error())
	}
	t.Cleanup(func() { client.Disconnect(0) })
	return client
}

// A question behind a picture that cannot be sent for a while must not hold back the next pictures for as long as the connection lasts.
func TestAPictureOfWhichNothingIsHeardHoldsUpNoOther(t *testing.T) {
	for name, one := range map[string]struct {
		told bool // that something is written long
		ends int  // what the limit still knows of an earlier connection
	}{
		"what is written long has its turn": {told: true, ends: 0},
		"it is not told":                    {told: false, ends: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := startFussy(t, &fussy{rate: 50_000})
			p := newPublisher(t, f.settings())
			client := f.visitor(t)
			p.limit.ends = 1
			p.SetLastFace("door", picture(20_000))
			said, _ := p.next()
			for ; !said.large; said, _ = p.next() { // states come before
			}
			p.link.alone.Lock()
			long := client.Publish("visavis/porch/detections", 0, false, strings.Repeat("d", 200_000)) // takes four seconds
			client.Publish("visavis/porch/stats", 0, false, "s")                                       // paho takes one more
			ended := make(chan struct{})
			go func() { p.readBy(said, client); close(ended) }()
			if one.told {
				long.Wait()
			}
			p.link.alone.Unlock()
			<-ended
			if p.underWay() || p.limit.ends != one.ends || !client.IsConnectionOpen() {
				t.Errorf("a picture is under way: %t, ends: %d, connected: %t", p.underWay(), p.limit.ends, client.IsConnectionOpen())
			}
		})
	}
}

func TestAPictureIsTriedAgainAfterAWhileAndWhatArrivesEndsTheLimit(t *testing.T) {
	const large = 100_000
	now, number := time.Now(), uint64(0)
	l := &sizeLimit{}
	say := func(bytes int) saying {
		number++
		one := saying{topic: topicLastFace, payload: strings.Repeat("p", bytes), number: number}
		l.note(one)
		return one
	}
	for range limitEnds {
		l.arrived(say(large / 2)) // smaller ones tell nothing of it
		say(large)
		if !l.holds(large, now) || l.holds(pieceBytes, now) {
			t.Fatal("not one at a time, or a small one waits")
		}
		l.over(now)
	}
	if !l.holds(large+1, now) || l.holds(large-1, now) || l.refusal(now) == nil {
		t.Fatalf("%+v", l)
	}
	now = now.Add(limitRest)
	if l.holds(large, now) || l.refusal(now) != nil {
		t.Fatal("it is never tried again")
	}
	say(large)
	if l.over(now); !l.holds(large, now) {
		t.Fatal("it is tried twice again")
	}
	l.arrived(say(large))
	if l.holds(large, now) || l.ends != 0 {
		t.Errorf("%+v", l)
	}
}
