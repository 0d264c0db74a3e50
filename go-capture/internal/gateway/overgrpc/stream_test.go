// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"visavis/capture/internal/openinference/wire"
	"visavis/capture/internal/waiting"
)

// talk opens a ModelStreamInfer.
func (b *box) talk(t *testing.T) grpc.ClientStream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*waiting.Most) // for all that a test says and hears
	t.Cleanup(cancel)
	both := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	stream, err := b.dial(t, insecure.NewCredentials()).NewStream(ctx, both, "/"+serviceName+"/ModelStreamInfer")
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

// A stream may say nothing for long, but what it has begun to say has as long as any message.
func TestAStreamMayWaitBetweenMessagesAndNotWithinOne(t *testing.T) {
	b := open(t, func(*Settings) {})
	b.server.comingMost = 300 * time.Millisecond
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
	b.server.comingMost = 300 * time.Millisecond
	stream := b.talk(t)
	large := &wire.ModelInferRequest{ModelName: "centerface", Id: strings.Repeat("a", 60<<10)}
	var sent atomic.Int64
	go func() {
		for stream.SendMsg(large) == nil {
			sent.Add(1)
		}
	}()
	before := int64(-1)
	waiting.Until(t, "the client is held back", func() bool {
		time.Sleep(4 * b.server.comingMost)
		last := before
		before = sent.Load()
		return last == before
	})
	for range before {
		if _, err := hear(stream); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.times("ModelStreamInfer", ""); n != 0 {
		t.Errorf("it is ended: %v", b.counted)
	}
}
