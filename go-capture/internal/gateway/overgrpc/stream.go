// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"visavis/capture/internal/gateway"
	"visavis/capture/internal/openinference/wire"
)

const (
	atOnceMost    = 64              // messages of one stream that are inferred or wait to be told
	silenceMost   = 5 * time.Minute // without a message a stream ends
	answerTimeout = 5 * time.Second // for a client to take an answer
)

var errUntaken = status.Error(codes.DeadlineExceeded, "An answer was not taken in time: read answers while you send.")

// conversation is one ModelStreamInfer. Its messages are read one after the other and inferred side by side, as many as workers have
// room for; beyond that nothing is read, and gRPC stops the client. Answers go out in the order of their messages, as Triton's do.
type conversation struct {
	server *Server
	stream grpc.ServerStream
	in     incoming
	coming chan chan *wire.ModelStreamInferResponse // one for each message that was read, in order
	told   chan struct{}                            // one for each answer that the client has taken
}

func modelStreamInfer(ctx context.Context, s *Server, stream grpc.ServerStream) error {
	release, err := s.settings.Gateway.OpenStream(s.callerOf(ctx))
	if err != nil {
		return err
	}
	defer release()
	in, err := s.incoming(ctx, stream)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := &conversation{s, stream, in, make(chan chan *wire.ModelStreamInferResponse, atOnceMost), make(chan struct{}, atOnceMost)}
	return c.run(ctx, cancel)
}

// run reads until there is no more to come, and returns when all answers are out or nobody takes them.
func (c *conversation) run(ctx context.Context, cancel context.CancelCauseFunc) error {
	ended := make(chan error, 1)
	go func() { ended <- c.tell(ctx, cancel) }()
	unread := c.read(ctx)
	close(c.coming)
	select {
	case untold := <-ended:
		if untold != nil {
			return untold
		}
		return unread
	case <-ctx.Done(): // an answer that is stuck ends with the call
		return context.Cause(ctx)
	}
}

// read takes messages as long as there is room for them.
func (c *conversation) read(ctx context.Context) error {
	for open := 0; ; open++ {
		for open >= min(c.server.settings.Gateway.AtOnce(), atOnceMost) {
			select {
			case <-c.told:
				open--
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		message, err := c.next(ctx)
		var unread skipped
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.As(err, &unread):
			return err
		}
		answer := make(chan *wire.ModelStreamInferResponse, 1)
		go func() { answer <- c.answer(ctx, message, unread.error) }()
		c.coming <- answer
	}
}

// next waits for a message to begin, and for its end no longer than any message may take. io.EOF says that the client sends no more.
func (c *conversation) next(ctx context.Context) (*gateway.Message, error) {
	var begun head
	came := make(chan error, 1)
	go func() {
		var err error
		begun, err = c.in.begin()
		came <- err
	}()
	silence := time.NewTimer(silenceMost)
	defer silence.Stop()
	select {
	case err := <-came:
		if errors.Is(err, io.EOF) {
			return nil, err
		}
		if err != nil {
			return nil, cause(err)
		}
		return c.in.inTime(ctx, func() (*gateway.Message, error) { return c.in.finishOrSkip(ctx, begun) })
	case <-c.server.settings.Gateway.Closing():
		return nil, gateway.Stopping()
	case <-silence.C:
		return nil, status.Errorf(codes.DeadlineExceeded, "No message has come for %v: open a stream when there is something to send.", silenceMost)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// answer has the faces of one message, or says why there are none; unread is why there was no room for it.
func (c *conversation) answer(ctx context.Context, message *gateway.Message, unread error) *wire.ModelStreamInferResponse {
	defer message.Release() // also where it is refused unread
	var asked gateway.Call
	call, faces, err := c.server.settings.Gateway.Infer(ctx, c.server.callerOf(ctx), func() (gateway.Call, error) {
		defer message.Release()
		if unread != nil {
			return asked, unread
		}
		var err error
		asked, err = callOf(message.Bytes())
		return asked, err
	})
	if err != nil {
		return &wire.ModelStreamInferResponse{ErrorMessage: sentence(err), InferResponse: &wire.ModelInferResponse{Id: asked.Request.ID}}
	}
	return &wire.ModelStreamInferResponse{InferResponse: responseOf(call, faces)}
}

// sentence is a refusal where there is no status and no trailer: a stream goes on after it.
func sentence(err error) string {
	text := status.Convert(asStatus(err)).Message()
	if wait := waitS(err); wait > 0 {
		text += fmt.Sprintf(" Retry after %d s.", wait)
	}
	return text
}

// tell sends answers in the order of their messages. A client that does not take one ends the stream.
func (c *conversation) tell(ctx context.Context, cancel context.CancelCauseFunc) error {
	for answer := range c.coming {
		select {
		case said := <-answer:
			late := time.AfterFunc(c.server.patience, func() { cancel(errUntaken) })
			err := c.stream.SendMsg(said)
			late.Stop()
			if err != nil {
				cancel(err)
				return err
			}
			c.told <- struct{}{}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
