// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"visavis/capture/internal/dispatch/dispatchtest"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/openinference/wire"
	"visavis/capture/internal/waiting"
)

// stranger speaks HTTP/2 as no library would.
type stranger struct {
	t      *testing.T
	framer *http2.Framer
	calls  uint32
	cut    chan struct{} // closed when the server has closed the connection
}

// stranger connects, and returns what the server allows it.
func (b *box) stranger(t *testing.T) (*stranger, map[http2.SettingID]uint32) {
	t.Helper()
	return b.strangerAt(t, "127.0.0.1")
}

// strangerAt connects from one of loopback's addresses.
func (b *box) strangerAt(t *testing.T, address string) (*stranger, map[http2.SettingID]uint32) {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	connection, err := dialer.Dial("tcp", b.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if _, err := io.WriteString(connection, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	s := &stranger{t: t, framer: http2.NewFramer(connection, connection), cut: make(chan struct{})}
	s.done(s.framer.WriteSettings())
	first, err := s.framer.ReadFrame()
	s.done(err)
	allowed := map[http2.SettingID]uint32{}
	s.done(first.(*http2.SettingsFrame).ForeachSetting(func(one http2.Setting) error {
		allowed[one.ID] = one.Val
		return nil
	}))
	go func() {
		defer close(s.cut)
		_, _ = io.Copy(io.Discard, connection)
	}()
	return s, allowed
}

func (s *stranger) done(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// announce begins a call with a message of which no byte comes.
func (s *stranger) announce(method string) (id uint32) {
	s.t.Helper()
	id = s.begin(method)
	s.done(s.framer.WriteData(id, false, binary.BigEndian.AppendUint32([]byte{0}, pictureMost)))
	return id
}

// begin opens a call.
func (s *stranger) begin(method string) (id uint32) {
	s.t.Helper()
	id = 2*s.calls + 1
	s.calls++
	var packed bytes.Buffer
	to := hpack.NewEncoder(&packed)
	for _, one := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "box"}, {":path", "/" + serviceName + "/" + method},
		{"content-type", "application/grpc"}, {"te", "trailers"}} {
		s.done(to.WriteField(hpack.HeaderField{Name: one[0], Value: one[1]}))
	}
	s.done(s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: packed.Bytes(), EndHeaders: true}))
	return id
}

// worker connects one that takes frames and never answers.
func (b *box) worker(t *testing.T) {
	t.Helper()
	dispatchtest.Stuck(t, b.dispatcher)
}

// times is how often a call ended with a code, "" for any.
func (b *box) times(method, code string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for one, times := range b.counted {
		if one == method+" "+code || code == "" && len(one) > len(method) && one[:len(method)+1] == method+" " {
			n += times
		}
	}
	return n
}

func TestWhoIsAliveIsToldWithoutAMessage(t *testing.T) {
	b := open(t, func(*Settings) {})
	s, _ := b.stranger(t)
	for range 5 {
		s.announce("ServerLive")
	}
	waiting.Until(t, "the five are answered", func() bool { return b.times("ServerLive", "") == 5 })
	if n := b.times("ServerLive", "OK"); n != 5 {
		t.Errorf("%d of 5 are told: %v", n, b.counted)
	}
	var live wire.ServerLiveResponse
	if err := ask(t, b.dial(t, insecure.NewCredentials()), "ServerLive", "", &wire.ServerLiveRequest{}, &live); err != nil || !live.Live {
		t.Errorf("%v %v", &live, err)
	}
}

// fromEverywhere opens calls whose messages do not come, from so many addresses.
func (b *box) fromEverywhere(t *testing.T, addresses, callsEach int) {
	t.Helper()
	for n := range addresses {
		s, _ := b.strangerAt(t, fmt.Sprintf("127.0.0.%d", 2+n))
		for range callsEach {
			s.announce("ModelInfer")
		}
	}
	waiting.Until(t, "they have come", func() bool { return int(b.gateway.Figures().Open)+b.times("ModelInfer", "") == addresses*callsEach })
}

func TestMessagesThatDoNotComeKeepNobodyOutFromHoweverManyAddresses(t *testing.T) {
	b := open(t, func(*Settings) {})
	b.worker(t)
	b.fromEverywhere(t, 8, callsMost)
	connection := b.dial(t, insecure.NewCredentials())
	for range 8 {
		err := ask(t, connection, "ModelInfer", "", &wire.ModelInferRequest{}, &wire.ModelInferResponse{})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("a message without a picture: %v", err)
		}
		var ready wire.ModelReadyResponse
		if err := ask(t, connection, "ModelReady", "", &wire.ModelReadyRequest{Name: "centerface"}, &ready); err != nil || !ready.Ready {
			t.Errorf("%v %v", &ready, err)
		}
	}
	if n := b.times("ModelInfer", ""); n != 8 {
		t.Errorf("the others have ended: %v", b.counted)
	}
}

func TestWhoHasFewMessagesComingIsLetInWhereOthersHaveThemAll(t *testing.T) {
	b := open(t, func(*Settings) {})
	b.worker(t)
	b.server.coming = newComing(32)
	b.fromEverywhere(t, 8, callsMost)
	waiting.Until(t, "so many are left", func() bool { return b.gateway.Figures().Open == 32 })
	for range 8 {
		err := ask(t, b.dial(t, insecure.NewCredentials()), "ModelInfer", "", &wire.ModelInferRequest{}, &wire.ModelInferResponse{})
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("a message without a picture: %v", err)
		}
	}
	if n := b.times("ModelInfer", "DeadlineExceeded"); n != 0 {
		t.Errorf("those that gave way were told that they are slow: %v", b.counted)
	}
}

func TestTheCallerThatHasTheMostGivesWay(t *testing.T) {
	c := newComing(3)
	enter := func(address string) (context.Context, func(), error) {
		return c.enter(t.Context(), gateway.Caller{Address: netip.MustParseAddr(address)})
	}
	first, leaveFirst, _ := enter("2001:db8::1")
	second, _, _ := enter("2001:db8::2") // the same network
	third, _, _ := enter("2001:db8::3")
	if _, _, err := enter("2001:db8::4"); err == nil {
		t.Error("a fourth of a caller is let in")
	}
	_, leaveOther, err := enter("192.0.2.1")
	if err != nil || first.Err() == nil || second.Err() != nil || third.Err() != nil {
		t.Errorf("another: %v; %v, %v, %v", err, first.Err(), second.Err(), third.Err())
	}
	leaveFirst()
	if _, _, err := enter("192.0.2.1"); err == nil {
		t.Error("one that would then have as many is let in")
	}
	leaveOther()
	if _, _, err := enter("192.0.2.2"); err != nil || len(c.of) != 2 || c.all != 3 {
		t.Errorf("%v; %v", err, c.of)
	}
}

const (
	budget = 4 * pictureMost // bytes that all messages share
	step   = 4 << 10         // that a message takes first
)

// room is what nobody holds; one caller may have three quarters of it.
func (b *box) room() int {
	for most := budget * 3 / 4; most > 0; most -= step {
		probe, err := b.gateway.Take(gateway.Caller{Account: "probe"}, bytes.NewReader(make([]byte, most-1)), most-1)
		probe.Release()
		if err == nil {
			return most / 3 * 4
		}
	}
	return 0
}

func (b *box) allIsFree(t *testing.T) {
	t.Helper()
	waiting.Until(t, "all memory of messages is free", func() bool { return b.room() == budget })
}

// send goes on with a message.
func (s *stranger) send(id uint32, bytes int) {
	s.t.Helper()
	for sent := 0; sent < bytes; sent += 16 << 10 {
		s.done(s.framer.WriteData(id, false, make([]byte, min(16<<10, bytes-sent))))
	}
}

func TestAMessageThatDoesNotComeEndsItsCallAndGivesItsMemoryBack(t *testing.T) {
	b := open(t, func(*Settings) {})
	b.worker(t)
	b.server.comingMost = time.Second
	s, _ := b.stranger(t)
	for _, bytes := range []int{0, 1, window - prefix} {
		s.send(s.announce("ModelInfer"), bytes)
	}
	waiting.Until(t, "all three are refused", func() bool { return b.times("ModelInfer", "DeadlineExceeded") == 3 })
	b.allIsFree(t)
	b.server.comingMost = waiting.Most
	err := ask(t, b.dial(t, insecure.NewCredentials()), "ModelInfer", "", &wire.ModelInferRequest{}, &wire.ModelInferResponse{})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("the next: %v", err)
	}
}

func TestAMessageHoldsWhatHasComeOfItAndNotWhatIsAnnounced(t *testing.T) {
	b := open(t, func(*Settings) {})
	b.worker(t)
	const calls = 8 * callsMost
	b.fromEverywhere(t, 8, callsMost)
	before := budget
	waiting.Until(t, "each has taken what it takes first", func() bool { before = b.room(); return before <= budget-calls*step })
	if before < budget-calls*step {
		t.Errorf("%d calls of which nothing comes leave %d bytes of %d", calls, before, budget)
	}
	s, _ := b.strangerAt(t, "127.0.0.99")
	s.send(s.announce("ModelInfer"), window-prefix)
	waiting.Until(t, "it is read", func() bool { return b.room() <= before-window/2 })
	if held := before - b.room(); held > 2*window {
		t.Errorf("%d bytes are held for %d", held, window)
	}
}

func TestWhoSendsMoreThanThereIsRoomForIsToldToComeAgain(t *testing.T) {
	b := open(t, func(s *Settings) { s.PictureBytes = 16 * pictureMost }) // all have room for four
	b.worker(t)
	var trailer metadata.MD
	large := &wire.ModelInferRequest{Id: strings.Repeat("a", 8*pictureMost)}
	err := b.dial(t, insecure.NewCredentials()).Invoke(waiting.Context(t), "/"+serviceName+"/ModelInfer", large, &wire.ModelInferResponse{}, grpc.Trailer(&trailer))
	if status.Code(err) != codes.ResourceExhausted || len(trailer.Get("retry-after")) != 1 {
		t.Errorf("%v, trailer %v", err, trailer)
	}
	b.allIsFree(t)
}

func TestMessagesMayBePackedAndThenTakeWhatIsInThem(t *testing.T) {
	b := open(t, func(*Settings) {})
	connection := b.dial(t, insecure.NewCredentials())
	for _, how := range []string{gzip.Name, "deflate"} {
		packed := func(name string) (*wire.ModelReadyResponse, error) {
			var ready wire.ModelReadyResponse
			err := connection.Invoke(waiting.Context(t), "/"+serviceName+"/ModelReady", &wire.ModelReadyRequest{Name: name}, &ready, grpc.UseCompressor(how))
			return &ready, err
		}
		for range 2 { // what packed the first answer may pack the second one
			if said, err := packed("centerface"); err != nil || said.Ready {
				t.Errorf("%s: %v, %v", how, said, err)
			}
		}
		if _, err := packed(strings.Repeat("a", 8*pictureMost)); status.Code(err) != codes.InvalidArgument {
			t.Errorf("a bomb, %s: %v", how, err)
		}
	}
}

func TestACallHasOneMessageWhole(t *testing.T) {
	b := open(t, func(*Settings) {})
	s, _ := b.stranger(t)
	for name, content := range map[string]string{
		"none": "", "half a head": "\x00\x00\x00", "half a message": "\x00\x00\x00\x00\x0Ahalf", "two": "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
		"packed somehow": "\x01\x00\x00\x00\x01a", "of another kind": "\x02\x00\x00\x00\x00",
	} {
		before := b.times("ModelReady", "InvalidArgument")
		id := s.begin("ModelReady")
		s.done(s.framer.WriteData(id, true, []byte(content)))
		waiting.Until(t, name+" is refused", func() bool { return b.times("ModelReady", "InvalidArgument") == before+1 })
	}
	b.allIsFree(t)
}

func TestWhatNobodyReadsIsBounded(t *testing.T) {
	b := open(t, func(*Settings) {})
	_, allowed := b.stranger(t)
	calls, each := allowed[http2.SettingMaxConcurrentStreams], allowed[http2.SettingInitialWindowSize]
	if all := connectionsMost * int64(calls) * int64(each); calls == 0 || each == 0 || all > 256<<20 {
		t.Errorf("%d calls of a connection may send %d bytes each before they are read: %d bytes in all", calls, each, all)
	}
}

// grpc keeps each frame by itself, and the window counts its bytes alone. Whoever takes no answer keeps what nobody reads.
func TestMessagesInCrumbsEndTheirConnection(t *testing.T) {
	b := open(t, func(*Settings) {})
	s, _ := b.stranger(t)
	id := s.announce("ServerLive")
	for range 2 * unfairMost / fairFrame {
		if s.framer.WriteData(id, false, []byte{0}) != nil {
			break // it is cut already
		}
	}
	waiting.For(t, "the connection is cut", s.cut)
}

func TestOnlyCrumbsAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		sizes []int
		ends  bool // the last frame of them
		cut   bool
	}{"crumbs": {[]int{1}, false, true}, "small messages, each in a call": {[]int{1}, true, false},
		"with the end in a frame of its own": {[]int{30, 0}, true, false}, "large frames": {[]int{1000}, false, false}} {
		var sent bytes.Buffer
		sent.WriteString(http2.ClientPreface)
		framer := http2.NewFramer(&sent, nil)
		for range 2 * unfairMost / fairFrame {
			for i, size := range c.sizes {
				if err := framer.WriteData(1, c.ends && i == len(c.sizes)-1, make([]byte, size)); err != nil {
					t.Fatal(err)
				}
			}
		}
		f := &frames{skip: len(http2.ClientPreface), credit: unfairMost}
		for sent.Len() > 0 {
			f.follow(sent.Next(7)) // heads come in pieces
		}
		if f.credit < 0 != c.cut || !c.cut && (f.skip != 0 || len(f.head) != 0) {
			t.Errorf("%s: credit %d, %d bytes and a head of %d are left", name, f.credit, f.skip, len(f.head))
		}
	}
}

func TestACallThatItsClientEndsIsNoFaultOfTheDevice(t *testing.T) {
	b := open(t, func(*Settings) {})
	b.worker(t)
	s, _ := b.stranger(t)
	id := s.announce("ModelInfer")
	waiting.Until(t, "it waits for its picture", func() bool { return b.gateway.Figures().Open == 1 })
	s.done(s.framer.WriteRSTStream(id, http2.ErrCodeCancel))
	waiting.Until(t, "it has ended", func() bool { return b.times("ModelInfer", "") == 1 })
	if b.times("ModelInfer", "Canceled") != 1 {
		t.Errorf("%v", b.counted)
	}
}
