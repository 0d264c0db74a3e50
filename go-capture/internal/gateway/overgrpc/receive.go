// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/semaphore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"visavis/capture/internal/gateway"
)

const (
	picturesMost = 4  // that are being read at once
	namesMost    = 2  // messages with no more than a name in them; a client may make them as large as pictures
	waitingMost  = 64 // calls that wait, unread, until one of these has come
	placeTimeout = time.Second
)

// places are for messages that are being read: grpc keeps a message in memory as it comes, up to the largest. One caller has at most half
// of them, or a few messages that hardly come would keep everybody else out.
type places struct {
	reading, waiting *semaphore.Weighted
	each             *shares
}

func newPlaces(reading int64) places {
	each := &shares{most: max(1, reading/2), of: map[gateway.Caller]*share{}}
	return places{semaphore.NewWeighted(reading), semaphore.NewWeighted(waitingMost), each}
}

// take waits briefly for a place: where those who have one are slow, the others are told to come again.
func (p places) take(ctx context.Context, who gateway.Caller) (release func(), err error) {
	own, leave := p.each.join(sharer(who))
	brief, cancel := context.WithTimeout(ctx, placeTimeout)
	defer cancel()
	if err := p.acquire(brief, own.Weighted); err != nil {
		leave()
		return nil, whyNot(ctx, err)
	}
	if err := p.acquire(brief, p.reading); err != nil {
		own.Release(1)
		leave()
		return nil, whyNot(ctx, err)
	}
	return func() {
		p.reading.Release(1)
		own.Release(1)
		leave()
	}, nil
}

// acquire takes one, and waits for it where not too many wait already.
func (p places) acquire(brief context.Context, from *semaphore.Weighted) error {
	if from.TryAcquire(1) {
		return nil
	}
	if !p.waiting.TryAcquire(1) {
		return gateway.TooManyComing()
	}
	defer p.waiting.Release(1)
	return from.Acquire(brief, 1)
}

// whyNot is the call's own end if it has come, and else that there was no place.
func whyNot(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return gateway.TooManyComing()
	}
	return err
}

// cause says why a message did not come.
func (s *Server) cause(err error) error {
	switch status.Code(err) {
	case codes.OK:
		return nil
	case codes.ResourceExhausted:
		return gateway.TooManyBytes(s.settings.PictureBytes)
	case codes.Canceled, codes.DeadlineExceeded:
		return context.Canceled
	}
	return malformedf("The message cannot be read: %v.", err)
}

// receive reads a call's message, in bounded time and with few others at once.
func (s *Server) receive(ctx context.Context, stream grpc.ServerStream, from places) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, gateway.BodyTimeout)
	defer cancel()
	release, err := from.take(ctx, s.callerOf(ctx))
	if err != nil {
		return nil, err
	}
	defer release()
	var raw []byte
	came := make(chan error, 1)
	go func() { came <- stream.RecvMsg(&raw) }() // it ends at the latest when the call does
	select {
	case err := <-came:
		return raw, s.cause(err)
	case <-ctx.Done():
		if ctx.Err() == context.DeadlineExceeded {
			return nil, gateway.TooSlow()
		}
		return nil, ctx.Err()
	}
}
