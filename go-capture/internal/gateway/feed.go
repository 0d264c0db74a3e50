// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/libjpeg"
)

// FeedSettings say what may come through a Feed.
type FeedSettings struct {
	Camera string
	Pixels int           // pictures with more are decoded smaller, or refused
	Stall  time.Duration // without a picture for so long the camera is lost
}

// leastSilence is how long a client may send nothing before its connection is closed and another one may come.
const leastSilence = 10 * time.Second

// Feed is the door of one push: camera: one client at a time comes in, and the camera takes the newest of its pictures. Next, Await and
// Decline are the camera's, for one goroutine.
type Feed struct {
	gateway  *Gateway
	settings FeedSettings
	news     chan struct{} // holds a token when Next may find a picture
	closed   chan struct{}
	ended    map[string]*atomic.Uint64 // pictures by what came of them; the map stays as it was made

	mu     sync.Mutex
	feeder *feeder // nil when nobody feeds
}

// feeder is the client that feeds: its newest picture, and the answer that is on its way to it.
type feeder struct {
	box     *mailbox
	answers chan pushAnswer // holds one

	requestID string // of the request that opened its connection
	busy      bool   // a picture is with the camera, or its answer is not written yet; guarded by the feed's mutex
}

// AddFeed opens the door of a camera. Close it before another one is added for the same camera.
func (g *Gateway) AddFeed(settings FeedSettings) *Feed {
	f := &Feed{gateway: g, settings: settings, news: make(chan struct{}, 1), closed: make(chan struct{}), ended: map[string]*atomic.Uint64{}}
	for _, outcome := range []string{pushCaptured, pushSkipped, pushReplaced, pushRefused, pushLeft} {
		f.ended[outcome] = new(atomic.Uint64)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.feeds[settings.Camera] = f
	return f
}

// Close ends the client's connection; none is taken any more.
func (f *Feed) Close() {
	f.gateway.mu.Lock()
	defer f.gateway.mu.Unlock()
	if f.gateway.feeds[f.settings.Camera] == f {
		delete(f.gateway.feeds, f.settings.Camera)
	}
	close(f.closed)
}

func (g *Gateway) feed(camera string) (*Feed, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f, known := g.feeds[camera]
	return f, known
}

// silence is how long the client may send nothing.
func (f *Feed) silence() time.Duration { return max(leastSilence, 2*f.settings.Stall) }

// enter makes a client the feeder, unless there is one.
func (f *Feed) enter(requestID string) (*feeder, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.feeder != nil {
		return nil, false
	}
	f.feeder = &feeder{box: newMailbox(func() { f.count(pushReplaced) }), answers: make(chan pushAnswer, 1), requestID: requestID}
	return f.feeder, true
}

// leave lets the next client in. A picture that nobody took goes.
func (f *Feed) leave(gone *feeder) {
	f.mu.Lock()
	f.feeder = nil
	f.mu.Unlock()
	if gone.box.close() {
		f.count(pushLeft)
	}
}

// Next waits for the newest picture. The caller ends it, with one of its methods.
func (f *Feed) Next(ctx context.Context) (*Pushed, error) {
	for {
		if next, ok := f.take(); ok {
			if next.picture != nil {
				return next, nil
			}
			next.refuse(busy(pauseMost))
			continue
		}
		if err := f.listen(ctx); err != nil {
			return nil, err
		}
	}
}

// Await waits until there is a picture, and leaves it where it is.
func (f *Feed) Await(ctx context.Context) error {
	for !f.waiting() {
		if err := f.listen(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Decline tells whoever feeds that the camera is switched off, until ctx ends: a client that waited for an answer would be taken for gone.
func (f *Feed) Decline(ctx context.Context) {
	for ctx.Err() == nil {
		if next, err := f.Next(ctx); err == nil {
			next.refuse(switchedOff())
		}
	}
}

func (f *Feed) listen(ctx context.Context) error {
	select {
	case <-f.news:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f *Feed) waiting() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.feeder != nil && !f.feeder.busy && f.feeder.box.holds()
}

// take takes the newest picture of a client that has read the answer to the one before.
func (f *Feed) take() (*Pushed, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.feeder == nil || f.feeder.busy {
		return nil, false
	}
	next, ok := f.feeder.box.tryTake()
	if !ok {
		return nil, false
	}
	f.feeder.busy = true
	return &Pushed{parcel: next, feed: f, from: f.feeder}, true
}

// answered lets the feeder's next picture go to the camera.
func (f *Feed) answered(by *feeder) {
	f.mu.Lock()
	by.busy = false
	f.mu.Unlock()
	signal(f.news)
}

// Pushed is one picture that a client sent. It ends, once, with Skip, Numbered, or a Decode that fails.
type Pushed struct {
	parcel
	feed *Feed
	from *feeder
}

// ArrivedNs is when the whole picture had come, CLOCK_MONOTONIC.
func (p *Pushed) ArrivedNs() int64 { return p.picture.arrivedNs }

// Skip says that the camera wants no picture now.
func (p *Pushed) Skip() { p.end(pushSkipped, pushAnswer{}) }

// Numbered says which frame of its camera the picture has become.
func (p *Pushed) Numbered(number uint64) { p.end(pushCaptured, pushAnswer{Frame: &number}) }

func (p *Pushed) refuse(err error) {
	told := refusalOf(err).problem()
	told.RequestID = p.from.requestID
	p.end(pushRefused, pushAnswer{Problem: &told})
}

func (p *Pushed) end(outcome string, a pushAnswer) {
	p.picture.release()
	p.feed.count(outcome)
	a.Index, a.Dropped = p.index, p.dropped
	p.from.answers <- a // there is room: the feeder is busy with this picture alone
}

// Decode writes the upright picture into `into`, and its JPEG where viewers may get that as it is. On an error the client is told, and
// the picture has ended.
func (p *Pushed) Decode(ctx context.Context, into *frame.Picture) error {
	err := p.decode(ctx, into)
	if err != nil {
		p.refuse(err)
	}
	return err
}

func (p *Pushed) decode(ctx context.Context, into *frame.Picture) error {
	g := p.feed.gateway
	kind := typeOf(p.picture.bytes)
	if kind == "" {
		return notAPicture("The message is no JPEG, PNG or WebP.")
	}
	picture, header, err := Inspect(p.picture.bytes, kind, g.settings.Limits)
	if err != nil {
		return err
	}
	reduce, err := p.feed.reduction(header)
	if err != nil {
		return err
	}
	cost := int64(header.Cost(reduce))
	if g.decoding.take(ctx, p.picture.share.client, cost) != nil {
		return busy(pauseMost)
	}
	defer g.decoding.giveBack(cost)
	into.CapturedNs, into.DriverSeq, into.JPEG = p.picture.arrivedNs, p.index+1, nil
	own := p.ownJPEG(picture, header, reduce)
	if own != nil {
		picture = own
	}
	if err := g.settings.Tools.Decode(picture, header, reduce, into); err != nil {
		return notAPicture("The picture cannot be decoded: %v.", err)
	}
	if own != nil {
		into.SetJPEG(libjpeg.Complete(own)...)
	}
	return nil
}

// ownJPEG is the client's JPEG as viewers may get it; nil where it is none, shows another picture than the decoded one, or is larger
// than its pixels.
func (p *Pushed) ownJPEG(picture []byte, header Header, reduce int) []byte {
	if header.Type != jpegType || header.Orientation != 1 || reduce != 1 {
		return nil
	}
	if own := stripMetadata(picture); len(own) <= bytesPerPixel*header.Width*header.Height {
		return own
	}
	return nil
}

// reduction is the largest scale at which the picture has no more pixels than the camera, and fits into the memory for decoding.
func (f *Feed) reduction(header Header) (int, error) {
	for reduce := 1; reduce <= header.mostReduced(); reduce *= 2 {
		width, height := header.Reduced(reduce)
		if width*height <= f.settings.Pixels && header.Cost(reduce) <= f.gateway.settings.Limits.DecodeBytes {
			return reduce, nil
		}
	}
	return 0, tooManyPixels("The picture has %dx%d pixels, more than the camera's size allows: send it smaller, or raise camera.size.",
		header.Width, header.Height)
}
