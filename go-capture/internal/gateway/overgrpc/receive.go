// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"context"
	"encoding/binary"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"visavis/capture/internal/gateway"
	"visavis/capture/internal/openinference"
)

const prefix = 5 // bytes before a message: whether it is packed, and its length

// carrier is what lies beneath RecvMsg in grpc's own streams. RecvMsg opens the window for all that is announced, and says nothing until
// it is here; this reads no more at a time than there is memory for. grpc gives it no name: where a new version has it no longer, the
// tests of every call fail.
type carrier interface {
	ReadMessageHeader(head []byte) error     // io.EOF = no more messages come
	Read(bytes int) (mem.BufferSlice, error) // waits for all of them
	RecvCompress() string
}

// incoming reads the messages of a call, one after the other. Reading cannot be stopped; it ends at the latest when the call does.
type incoming struct {
	carrier carrier
	server  *Server
	from    gateway.Caller
}

func (s *Server) incoming(ctx context.Context, stream grpc.ServerStream) (incoming, error) {
	carrier, known := grpc.ServerTransportStreamFromContext(stream.Context()).(carrier)
	if !known {
		return incoming{}, status.Error(codes.Internal, "This version of gRPC does not let messages be read in pieces.")
	}
	return incoming{carrier, s, s.callerOf(ctx)}, nil
}

// receive reads the message of a call that has one, in bounded time. Whoever gets it releases it.
func (s *Server) receive(ctx context.Context, stream grpc.ServerStream) (*gateway.Message, error) {
	in, err := s.incoming(ctx, stream)
	if err != nil {
		return nil, err
	}
	return in.amongOthers(ctx, func(ctx context.Context) (*gateway.Message, error) { return in.inTime(ctx, in.only) })
}

func (in incoming) most() int { return in.server.settings.PictureBytes + openinference.JSONMost }

// head is the beginning of a message.
type head struct {
	packed bool
	bytes  int // that follow
}

// begin waits for a message to begin.
func (in incoming) begin() (head, error) {
	var raw [prefix]byte
	if err := in.carrier.ReadMessageHeader(raw[:]); err != nil {
		return head{}, err
	}
	bytes := binary.BigEndian.Uint32(raw[1:])
	switch {
	case raw[0] > 1:
		return head{}, malformedf("The message does not begin as gRPC's do.")
	case int64(bytes) > int64(in.most()):
		return head{}, gateway.TooManyBytes(in.server.settings.PictureBytes)
	}
	return head{raw[0] == 1, int(bytes)}, nil
}

// skipped is why there was no room for a message. It was read to its end all the same: the next one can be read.
type skipped struct{ error }

// Unwrap gives the Refusal.
func (s skipped) Unwrap() error { return s.error }

// finishOrSkip takes the rest of a message that has begun and that others may follow.
func (in incoming) finishOrSkip(ctx context.Context, begun head) (*gateway.Message, error) {
	rest := &content{in.carrier, begun.bytes}
	message, err := in.amongOthers(ctx, func(ctx context.Context) (*gateway.Message, error) {
		return in.finish(begun, yielding{ctx, rest})
	})
	if !gateway.IsBusy(err) {
		return message, err
	}
	if _, err := io.Copy(io.Discard, rest); err != nil {
		return nil, err
	}
	return nil, skipped{err}
}

// finish takes the rest of a message that has begun.
func (in incoming) finish(begun head, content io.Reader) (*gateway.Message, error) {
	if begun.packed {
		compressor := encoding.GetCompressor(in.carrier.RecvCompress())
		if compressor == nil {
			return nil, malformedf("The message is packed, and grpc-encoding does not say how.")
		}
		var err error
		if content, err = compressor.Decompress(content); err != nil {
			return nil, err
		}
	}
	return in.server.settings.Gateway.Take(in.from, content, in.most())
}

// only takes a message behind which none may follow.
func (in incoming) only() (*gateway.Message, error) {
	begun, err := in.begin()
	if errors.Is(err, io.EOF) {
		return nil, malformedf("No message has come.")
	}
	if err != nil {
		return nil, err
	}
	message, err := in.finish(begun, &content{in.carrier, begun.bytes})
	if err != nil {
		return nil, err
	}
	_, err = in.begin()
	if errors.Is(err, io.EOF) {
		return message, nil
	}
	message.Release()
	if err == nil {
		err = malformedf("A second message follows: this call has one.")
	}
	return nil, err
}

// amongOthers reads a message while it is counted among those that come; its context ends when it has to give way.
func (in incoming) amongOthers(ctx context.Context, read func(context.Context) (*gateway.Message, error)) (*gateway.Message, error) {
	ctx, leave, err := in.server.coming.enter(ctx, in.from)
	if err != nil {
		return nil, err
	}
	defer leave()
	return read(ctx)
}

// inTime gives a message that is here soon enough. What comes later is given back.
func (in incoming) inTime(ctx context.Context, read func() (*gateway.Message, error)) (*gateway.Message, error) {
	type taken struct {
		message *gateway.Message
		err     error
	}
	ctx, cancel := context.WithTimeout(ctx, in.server.comingMost)
	defer cancel()
	came := make(chan taken, 1)
	go func() {
		message, err := read()
		came <- taken{message, cause(err)}
	}()
	select {
	case one := <-came:
		return one.message, one.err
	case <-ctx.Done():
		go func() { (<-came).message.Release() }()
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, gateway.TooSlow()
		}
		return nil, context.Cause(ctx)
	}
}

// cause says why a message did not come.
func cause(err error) error {
	var refused gateway.Refusal
	if err == nil || errors.As(err, &refused) || errors.Is(err, openinference.ErrMalformed) {
		return err
	}
	switch status.Code(err) {
	case codes.Canceled, codes.DeadlineExceeded:
		return context.Canceled
	}
	return malformedf("The message cannot be read: %v.", err)
}

// yielding reads a message until that has to give way.
type yielding struct {
	ctx  context.Context
	from io.Reader
}

// Read fails with the Refusal then.
func (y yielding) Read(into []byte) (int, error) {
	if why := context.Cause(y.ctx); gateway.IsBusy(why) {
		return 0, why
	}
	return y.from.Read(into)
}

// content is what follows the head of a message.
type content struct {
	carrier carrier
	left    int
}

// Read waits until there is as much as is wanted: gRPC lets the client send that, and little more.
func (c *content) Read(into []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	wanted := min(c.left, len(into))
	pieces, err := c.carrier.Read(wanted)
	if errors.Is(err, io.EOF) {
		return 0, io.ErrUnexpectedEOF
	}
	if err != nil {
		return 0, err
	}
	defer pieces.Free()
	c.left -= wanted
	return pieces.CopyTo(into), nil
}
