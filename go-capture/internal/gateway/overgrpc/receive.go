// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"context"
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

// places are for messages that are being read: grpc keeps a message in memory as it comes, up to the largest.
type places struct{ reading, waiting *semaphore.Weighted }

func newPlaces(reading int64) places {
	return places{semaphore.NewWeighted(reading), semaphore.NewWeighted(waitingMost)}
}

// take waits briefly for a place: where those who have one are slow, the others are told to come again.
func (p places) take(ctx context.Context) (release func(), err error) {
	release = func() { p.reading.Release(1) }
	if p.reading.TryAcquire(1) {
		return release, nil
	}
	if !p.waiting.TryAcquire(1) {
		return nil, gateway.TooManyComing()
	}
	defer p.waiting.Release(1)
	brief, cancel := context.WithTimeout(ctx, placeTimeout)
	defer cancel()
	if p.reading.Acquire(brief, 1) == nil {
		return release, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, gateway.TooManyComing()
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
	release, err := from.take(ctx)
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
