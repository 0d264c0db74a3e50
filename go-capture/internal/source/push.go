// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"time"

	"visavis/capture/internal/frame"
)

// errUnfed says that a push: camera got no picture within the stall limit.
var errUnfed = errors.New("no client sends pictures: connect one to the WebSocket /api/v1/cameras/{id}/push, where {id} is that of this camera")

// Feed is where the pictures of a push: camera come from.
type Feed interface {
	// Next waits for the newest picture; its error is the context's.
	Next(ctx context.Context) (Pushed, error)
}

// Pushed is a picture that a client sent. It ends, once, with Skip, Numbered, or a Decode that fails; then its client is told.
type Pushed interface {
	ArrivedNs() int64
	Decode(ctx context.Context, into *frame.Picture) error
	Skip()
	Numbered(frame uint64)
}

// Numbered is a Source that is to be told which frame the picture of the last Grab has become.
type Numbered interface {
	Numbered(frame uint64)
}

// pushed gives what a client sends, at the pace that is wanted.
type pushed struct {
	feed  Feed
	limit time.Duration
	pace  pace
	last  Pushed // its client waits for the number
}

func openPush(_ context.Context, s Settings, _ string) (Source, error) {
	if s.Feed == nil {
		return nil, errors.New("nothing feeds it: push: cameras need the gateway")
	}
	return &pushed{feed: s.Feed, limit: s.StallLimit, pace: newPace(s.MostFPS)}, nil
}

// Grab takes the newest picture that is due. One that cannot be decoded is passed over: its client is told, and may send better ones.
func (p *pushed) Grab(ctx context.Context, into *frame.Picture) error {
	p.forget()
	for {
		if err := p.wait(ctx, into); err != nil || p.last != nil {
			return err
		}
	}
}

// wait takes one picture within the stall limit; none, and no error, when one came that is not due. After a damaged one all are due.
func (p *pushed) wait(ctx context.Context, into *frame.Picture) error {
	stall, cancel := context.WithTimeoutCause(ctx, p.limit, errUnfed)
	defer cancel()
	var damage error
	for {
		next, err := p.feed.Next(stall)
		if err != nil {
			return errors.Join(err, damage)
		}
		if !p.pace.due(next.ArrivedNs()) {
			next.Skip()
			return nil
		}
		if damage = next.Decode(stall, into); damage == nil {
			p.pace.took(next.ArrivedNs())
			p.last = next
			return nil
		}
		if stall.Err() != nil { // a feed gives what is there before it looks at the time
			return errors.Join(context.Cause(stall), damage)
		}
	}
}

// Numbered tells the client which frame its picture has become.
func (p *pushed) Numbered(number uint64) {
	p.last.Numbered(number)
	p.last = nil
}

// forget ends a picture that became no frame.
func (p *pushed) forget() {
	if p.last != nil {
		p.last.Skip()
		p.last = nil
	}
}

func (p *pushed) Close() error {
	p.forget()
	return nil
}
