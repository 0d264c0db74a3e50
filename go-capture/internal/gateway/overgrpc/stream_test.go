// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"visavis/capture/internal/gateway"
	"visavis/capture/internal/openinference/wire"
	"visavis/capture/internal/waiting"
)

// talk opens a ModelStreamInfer.
func (b *box) talk(t *testing.T, options ...grpc.CallOption) grpc.ClientStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*waiting.Most) // for all that a test says and hears
	t.Cleanup(cancel)
	both := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	stream, err := b.dial(t, insecure.NewCredentials()).NewStream(ctx, both, "/"+serviceName+"/ModelStreamInfer", options...)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func say(t *testing.T, stream grpc.ClientStream, id string) {
	t.Helper()
	if err := stream.SendMsg(&wire.ModelInferRequest{Id: id, ModelName: "centerface"}); err != nil {
		t.Fatal(err)
	}
}

func (c *coming) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

func hear(stream grpc.ClientStream) (*wire.ModelStreamInferResponse, error) {
	var said wire.ModelStreamInferResponse
	err := stream.RecvMsg(&said)
	return &said, err
}

// taken says one thing and hears the answer: the stream is open at the other end.
func taken(t *testing.T, stream grpc.ClientStream) {
	t.Helper()
	say(t, stream, "")
	if _, err := hear(stream); err != nil {
		t.Fatal(err)
	}
}

func TestAStreamGoesOnAfterARefusalAndEndsWithItsClient(t *testing.T) {
	b := open(t, func(*Settings) {})
	stream := b.talk(t)
	for range 3 {
		say(t, stream, "")
	}
	for range 3 {
		said, err := hear(stream)
		if err != nil || !strings.Contains(said.ErrorMessage, "worker") || !strings.Contains(said.ErrorMessage, "Retry after") {
			t.Errorf("%v, %v", said, err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := hear(stream); !errors.Is(err, io.EOF) {
		t.Errorf("the end is %v", err)
	}
	if figures := b.gateway.Figures(); figures.Streams != 0 || figures.Open != 0 {
		t.Errorf("left: %+v", figures)
	}
}

func TestOnlySoManyStreamsAreOpen(t *testing.T) {
	b := open(t, func(*Settings) {})
	for range streamsMost {
		taken(t, b.talk(t))
	}
	stream := b.talk(t)
	said, err := hear(stream)
	if status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "gateway.streams") {
		t.Errorf("%v, %v", said, err)
	}
}

func TestADeviceThatStopsEndsItsStreams(t *testing.T) {
	b := open(t, func(*Settings) {})
	stream := b.talk(t)
	taken(t, stream)
	b.gateway.Drain(time.Minute)
	if _, err := hear(stream); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "stops") {
		t.Errorf("%v", err)
	}
	if _, err := hear(b.talk(t)); status.Code(err) != codes.Unavailable {
		t.Errorf("a new one: %v", err)
	}
}

// A client that sends and does not listen: reading stops with the answers, and then the place of the stream is free again.
func TestAStreamWhoseAnswersNobodyTakesEnds(t *testing.T) {
	b := openWith(t, time.Second, func(*Settings) {})
	stream := b.talk(t)
	taken(t, stream)
	large := &wire.ModelInferRequest{ModelName: "centerface", Id: strings.Repeat("a", 2*fairFrame)}
	go func() {
		for err := error(nil); err == nil; {
			err = stream.SendMsg(large)
		}
	}()
	waiting.Until(t, "the stream is closed", func() bool { return b.gateway.Figures().Streams == 0 })
	var err error
	for err == nil {
		_, err = hear(stream)
	}
	if status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "read answers") {
		t.Error(err)
	}
}

func TestAMessageThatIsTooLargeEndsItsStream(t *testing.T) {
	b := open(t, func(*Settings) {})
	stream := b.talk(t)
	taken(t, stream)
	if err := stream.SendMsg(&wire.ModelInferRequest{Id: strings.Repeat("a", 4*pictureMost+1<<20)}); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if _, err := hear(stream); status.Code(err) != codes.InvalidArgument {
		t.Errorf("%v", err)
	}
}

// fill takes the memory of messages, all but little, until the function is called.
func (b *box) fill(t *testing.T) (empty func()) {
	t.Helper()
	var held []*gateway.Message
	left := budget
	for _, who := range []string{"first", "second", "third"} {
		most := left * 3 / 4 / step * step
		message, err := b.gateway.Take(gateway.Caller{Account: who}, bytes.NewReader(make([]byte, most-1)), most-1)
		if err != nil {
			t.Fatal(err)
		}
		held, left = append(held, message), left-most
	}
	return func() {
		for _, one := range held {
			one.Release()
		}
	}
}

// hearBusy hears that there was no room, which does not end the stream.
func hearBusy(t *testing.T, stream grpc.ClientStream, words string) {
	t.Helper()
	if said, err := hear(stream); err != nil || !strings.Contains(said.ErrorMessage, words) || !strings.Contains(said.ErrorMessage, "Retry after") {
		t.Fatalf("%v, %v", said, err)
	}
}

func TestAStreamGoesOnAfterAMessageForWhichThereWasNoMemory(t *testing.T) {
	b := open(t, func(*Settings) {})
	b.worker(t)
	for name, options := range map[string][]grpc.CallOption{"as it is": nil, "packed": {grpc.UseCompressor("gzip")}} {
		stream := b.talk(t, options...)
		empty := b.fill(t)
		say(t, stream, strings.Repeat(name, 20_000))
		hearBusy(t, stream, "Too many pictures are waiting")
		empty()
		say(t, stream, "")
		if said, err := hear(stream); err != nil || !strings.Contains(said.ErrorMessage, "input") {
			t.Errorf("%s, the next: %v, %v", name, said, err)
		}
		b.allIsFree(t)
	}
	if n := b.gateway.Figures().Refused["busy"]; n != 2 {
		t.Errorf("%d count as refused, want 2", n)
	}
}

func TestAStreamGoesOnWhereTooManyMessagesAreComing(t *testing.T) {
	b := open(t, func(*Settings) {})
	b.worker(t)
	b.server.coming = newComing(1)
	stranger, _ := b.strangerAt(t, "127.0.0.2")
	id := stranger.announce("ModelInfer")
	waiting.Until(t, "it is coming", func() bool { return b.gateway.Figures().Open == 1 })
	stream := b.talk(t)
	say(t, stream, "")
	hearBusy(t, stream, "Too many messages are coming")
	stranger.done(stranger.framer.WriteRSTStream(id, http2.ErrCodeCancel))
	waiting.Until(t, "it has gone", func() bool { return b.times("ModelInfer", "") == 1 })
	taken(t, stream)
}

func TestAStreamGoesOnWhoseMessageGivesWay(t *testing.T) {
	b := open(t, func(*Settings) {})
	b.worker(t)
	b.server.coming = newComing(2)
	stranger, _ := b.strangerAt(t, "127.0.0.2")
	const bytes = 1 << 10
	first := stranger.begin("ModelStreamInfer")
	stranger.done(stranger.framer.WriteData(first, false, binary.BigEndian.AppendUint32([]byte{0}, bytes)))
	waiting.Until(t, "the first is coming", func() bool { return b.server.coming.count() == 1 })
	stranger.announce("ModelStreamInfer")
	waiting.Until(t, "two are coming", func() bool { return b.server.coming.count() == 2 })
	taken(t, b.talk(t))
	stranger.send(first, bytes)
	waiting.Until(t, "it is told", func() bool { return b.gateway.Figures().Refused["busy"] == 1 })
	if n := b.times("ModelStreamInfer", ""); n != 0 {
		t.Errorf("it is ended: %v", b.counted)
	}
}

// A stream may say nothing for long, but what it has begun to say has as long as any message.
func TestAStreamMayWaitBetweenMessagesAndNotWithinOne(t *testing.T) {
	b := open(t, func(*Settings) {})
	b.server.comingMost = time.Second
	quiet := b.talk(t)
	taken(t, quiet)
	s, _ := b.stranger(t)
	s.send(s.announce("ModelStreamInfer"), window/2)
	waiting.Until(t, "the one that has begun is ended", func() bool { return b.times("ModelStreamInfer", "DeadlineExceeded") == 1 })
	taken(t, quiet)
	b.allIsFree(t)
}

// Where no answer is taken, nothing is read, and gRPC holds the client back in the middle of a message: it is not the client that is slow.
func TestAClientThatIsHeldBackIsNotSlow(t *testing.T) {
	b := openWith(t, time.Minute, func(*Settings) {})
	b.server.comingMost = time.Second
	stream := b.talk(t)
	large := &wire.ModelInferRequest{ModelName: "centerface", Id: strings.Repeat("a", 60<<10)}
	var sent atomic.Int64
	go func() {
		for stream.SendMsg(large) == nil {
			sent.Add(1)
		}
	}()
	before := int64(-1)
	for before != sent.Load() { // until the client is held back, or the time of the stream is over
		before = sent.Load()
		time.Sleep(b.server.comingMost * 3 / 2)
	}
	for range before {
		if _, err := hear(stream); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.times("ModelStreamInfer", ""); n != 0 {
		t.Errorf("it is ended: %v", b.counted)
	}
}
