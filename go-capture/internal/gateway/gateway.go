// SPDX-License-Identifier: Apache-2.0

// Package gateway takes pictures from clients and answers with the faces in them.
//
// The way of a picture:
//
//  1. body.go reads it, as long as it is small enough       post.go, or stream.go for a WebSocket
//  2. Inspect looks at its header, before any decoding      header.go, formats.go
//  3. it waits for a place, in turn with other clients      line.go, pace.go
//  4. it is decoded and drawn into a slot of the ring       this file, decode
//  5. a worker answers; the outcome frees the place         flight.go, dispatch
//  6. faces, or the picture with them, go back              answer.go
//
// Pictures that are pushed for a camera (push.go) leave at step 3: the camera takes them from their Feed (feed.go) as from a driver, and
// they go on as its frames.
//
// A place is a slot of the ring, so nothing is decoded that could not be lent next. Whoever waits has only its encoded bytes in memory.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/ring"
)

// StreamName is the ring's stream of clients' pictures. No camera can have it.
const StreamName = "@clients"

const (
	tries = 2 // workers that a picture is lent to
	// Beside what is lent: one that waits for the next free worker, and one that is being drawn.
	placesBeside = 2
	// How many bodies of the largest size may be in memory at once.
	bodiesMost = 4
)

// Tools are what needs OpenCV.
type Tools struct {
	Decode func(body []byte, header Header, reduce int, into *frame.Picture) error
	Draw   func(picture *frame.Picture, slot []byte, box geometry.Letterbox) error
	Encode func(picture *frame.Picture, faces []hub.Face, anonymize bool) ([]byte, error)
}

// Settings of a Gateway.
type Settings struct {
	Device                  string
	InputWidth, InputHeight int // of the network
	Workers, Credit         int // most workers, and frames that each may hold
	Score                   float64
	Deadline                time.Duration
	Queue, QueuePerClient   int
	Limits                  Limits
	Streams                 int
	Rate                    float64 // pictures a second from one address, 0 = no limit
	Tools                   Tools
}

// Gateway answers clients. Make it with New; its methods may be called from any goroutine.
type Gateway struct {
	settings   Settings
	dispatcher *dispatch.Dispatcher
	stream     *dispatch.Stream
	line       *line
	pace       *pace
	decoding   *semaphore.Weighted // bytes
	bodies     *semaphore.Weighted // bytes
	metrics    *metrics
	tally      *tally
	buckets    *buckets
	sockets    *semaphore.Weighted

	mu      sync.Mutex
	flights map[uint64]*flight // published pictures by their number in the ring
	feeds   map[string]*Feed   // by camera
}

// New makes the ring of clients' pictures. It fails when there is no memory for it. The dispatcher's outcomes of StreamName must
// come to Outcome.
func New(settings Settings, dispatcher *dispatch.Dispatcher) (*Gateway, error) {
	places := min(settings.Workers*settings.Credit+placesBeside, ring.MaxSlots)
	stream, err := dispatcher.AddStream(dispatch.StreamSpec{
		Name: StreamName, Width: settings.InputWidth, Height: settings.InputHeight,
		Slots: places, Depth: places, Guest: true, Tries: tries,
	})
	if err != nil {
		return nil, fmt.Errorf("make the ring of clients' pictures: %w", err)
	}
	g := &Gateway{
		settings: settings, dispatcher: dispatcher, stream: stream,
		pace:     &pace{configured: settings.Deadline, most: settings.Queue},
		decoding: semaphore.NewWeighted(int64(settings.Limits.DecodeBytes)),
		bodies:   semaphore.NewWeighted(int64(bodiesMost * settings.Limits.Bytes)),
		sockets:  semaphore.NewWeighted(int64(settings.Streams)),
		tally:    newTally(), buckets: newBuckets(settings.Rate),
		flights: map[uint64]*flight{}, feeds: map[string]*Feed{},
	}
	g.line = newLine(places, settings.QueuePerClient, g.pace.room)
	g.metrics = newMetrics(g)
	return g, nil
}

// Close gives the ring back. Pictures that wait for a worker end as superseded.
func (g *Gateway) Close() { g.stream.Retire() }

// request is one picture whose header is read.
type request struct {
	client    netip.Addr
	body      []byte
	header    Header
	arrivedNs int64
	draw      bool // the picture itself is wanted back
}

// found is what came of a picture. Its owner calls release.
type found struct {
	number        uint64 // in the ring
	model         string
	width, height int // upright
	faces         []hub.Face
	latency       hub.Latency
	picture       *frame.Picture // nil unless it was wanted; perhaps smaller than width x height
	release       func()
}

// detect sees one picture through. Errors are Refusals, or the context's when the client has gone.
func (g *Gateway) detect(ctx context.Context, r request) (found, error) {
	if !g.ready() {
		return found{}, noWorker()
	}
	deadline := g.pace.deadline()
	bounded, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	done, err := g.seeThrough(bounded, r)
	if errors.Is(err, context.DeadlineExceeded) {
		err = tooLate(deadline)
	}
	if err == nil {
		g.metrics.observe(done.latency)
	}
	return done, err
}

// admit refuses a picture of an address that sends too many.
func (g *Gateway) admit(client netip.Addr) error {
	if wait := g.buckets.take(client, time.Now()); wait > 0 {
		return tooFast(wait)
	}
	return nil
}

// ready tells whether there is a worker, and how long workers take. Called without a mutex: the dispatcher has its own.
func (g *Gateway) ready() bool {
	workers, service := g.dispatcher.Capacity()
	g.pace.learn(service)
	return workers > 0
}

func (g *Gateway) seeThrough(ctx context.Context, r request) (found, error) {
	if err := g.takePlace(ctx, r.client); err != nil {
		return found{}, err
	}
	grantedNs := frame.MonotonicNs()
	drawn, err := g.intoSlot(ctx, r)
	if err != nil {
		return found{}, err
	}
	end, err := g.fly(ctx, drawn.flight)
	if err != nil {
		drawn.release()
		return found{}, err
	}
	done := answered(r, drawn, end)
	done.latency = stages(r, grantedNs, drawn.flight, end)
	return done, nil
}

// takePlace waits in the line. Without an error the place is the caller's, who frees it or lets an outcome do so.
func (g *Gateway) takePlace(ctx context.Context, client netip.Addr) error {
	t, ok := g.line.enter(client)
	if !ok {
		return busy(g.backlog())
	}
	select {
	case verdict := <-t.verdict:
		if errors.Is(verdict, errEvicted) {
			return busy(g.backlog())
		}
	case <-ctx.Done():
		if g.line.leave(t) {
			g.line.free()
		}
		return g.neverLent(ctx.Err())
	}
	if until, set := ctx.Deadline(); set && g.pace.hopeless(time.Until(until)) {
		g.line.free()
		return g.neverLent(context.DeadlineExceeded)
	}
	return nil
}

// neverLent turns a deadline that passed in the line into the refusal that was due before: workers have become slower meanwhile.
func (g *Gateway) neverLent(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return busy(g.backlog())
	}
	return err
}

// backlog is how long everything that waits now will take.
func (g *Gateway) backlog() time.Duration {
	waiting, busy := g.line.lengths()
	return g.pace.until(waiting + busy)
}

// drawn is a picture that lies in a slot. release gives the memory back that is still held for it.
type drawn struct {
	flight  *flight
	picture *frame.Picture
	release func()
}

// intoSlot decodes the picture and draws it into a slot, within the memory for decoding. On an error the place is free again.
func (g *Gateway) intoSlot(ctx context.Context, r request) (drawn, error) {
	width, height := r.header.Upright()
	box := geometry.Fit(width, height, g.settings.InputWidth, g.settings.InputHeight)
	reduce := g.reduction(r, box)
	picture, release, err := g.decode(ctx, r, reduce)
	if err != nil {
		g.line.free()
		return drawn{}, err
	}
	f, err := g.draw(picture, box, r.arrivedNs)
	if err != nil {
		release()
		return drawn{}, err
	}
	if r.draw {
		return drawn{f, picture, release}, nil
	}
	release()
	return drawn{f, nil, func() {}}, nil
}

// reduction is the scale at which the picture is decoded: enough for the network, or as large as memory allows when it is wanted back.
func (g *Gateway) reduction(r request, box geometry.Letterbox) int {
	if !r.draw {
		_, _, width, height := box.Inner()
		return r.header.ReduceFor(width, height)
	}
	reduce := 1
	for reduce < r.header.mostReduced() && g.cost(r, reduce) > g.settings.Limits.DecodeBytes {
		reduce *= 2
	}
	return reduce
}

// cost is what one picture takes from the memory for decoding; one that is wanted back is copied once more to draw on.
func (g *Gateway) cost(r request, reduce int) int {
	cost := r.header.Cost(reduce)
	if r.draw {
		width, height := r.header.Reduced(reduce)
		cost += bytesPerPixel * width * height
	}
	return cost
}

// decode gives the upright picture in memory of its own: what a damaged one leaves unwritten is black, and never another client's.
func (g *Gateway) decode(ctx context.Context, r request, reduce int) (*frame.Picture, func(), error) {
	cost := int64(min(g.cost(r, reduce), g.settings.Limits.DecodeBytes))
	if err := g.decoding.Acquire(ctx, cost); err != nil {
		return nil, nil, err
	}
	pool := frame.NewPool(1)
	picture, _ := pool.Get()
	release := func() {
		picture.Release()
		pool.Close()
		g.decoding.Release(cost)
	}
	if err := g.settings.Tools.Decode(r.body, r.header, reduce, picture); err != nil {
		release()
		return nil, nil, notAPicture("The picture cannot be decoded: %v.", err)
	}
	return picture, release, nil
}

// draw letterboxes the picture into a slot. From Acquire on the slot's outcome frees the place.
func (g *Gateway) draw(picture *frame.Picture, box geometry.Letterbox, arrivedNs int64) (*flight, error) {
	slot := g.stream.Acquire()
	if slot.Bytes() == nil {
		g.line.free()
		return nil, failed("The daemon ends.")
	}
	f := g.board(slot)
	if err := g.settings.Tools.Draw(picture, slot.Bytes(), box); err != nil {
		slot.Abort(err)
		return nil, err
	}
	f.frame = dispatch.Frame{CapturedNs: arrivedNs, ReadyNs: frame.MonotonicNs(), Letterbox: box}
	return f, nil
}
