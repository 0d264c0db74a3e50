// SPDX-License-Identifier: Apache-2.0

// Package gateway takes pictures from clients and answers with the faces in them.
//
// The way of a picture:
//
//  1. body.go reads it, as long as it is small enough       post.go, or stream.go for a WebSocket
//  2. Inspect looks at its header, before any decoding      header.go, formats.go
//  3. it waits for a place, in turn with other clients      queue.go, pace.go
//  4. it is decoded and drawn into a slot of the ring       this file, decode
//  5. a worker answers; the outcome frees the place         flight.go, dispatch
//  6. faces, or the picture with them, go back              answer.go; the picture is decoded once more for that
//
// The Open Inference Protocol is another door to the same way: infer.go.
//
// Pictures that are pushed for a camera (push.go) leave at step 3: the camera takes them from their Feed (feed.go) as from a driver, and
// they go on as its frames.
//
// A place is a slot of the ring, so nothing is decoded that could not be lent next. Whoever waits has only its encoded bytes in memory.
package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/quota"
)

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
	// Encode may draw on the picture itself: nobody else holds it.
	Encode func(picture *frame.Picture, faces []hub.Face, anonymize bool) ([]byte, error)
}

// Settings of a Gateway.
type Settings struct {
	Device                  string
	Version                 string // of visavis
	Model                   string // its name in the Open Inference Protocol
	InputWidth, InputHeight int    // of the network
	Workers, Credit         int    // that are there at the start, and frames that each may hold
	Score                   float64
	Deadline                time.Duration
	Queue, QueuePerClient   int
	Limits                  Limits
	Streams                 int
	Rate                    float64 // pictures a second from one address, 0 = no limit
	AccountRate             float64 // the same from one account, wherever it sends from
	// Account names whoever a request was let in as; "" or nil where nobody needs a login.
	Account  func(*http.Request) string
	FullSide int // most pixels of a side of pictures in their own size, 0 = none are taken
	Tools    Tools
}

// Gateway answers clients. Make it with New; its methods may be called from any goroutine.
type Gateway struct {
	settings   Settings
	dispatcher *dispatch.Dispatcher
	input      *lane                // pictures drawn into the network's size
	full       atomic.Pointer[lane] // pictures in their own size; nil before the first one
	making     sync.Mutex           // of the full lane
	decoding   *fairMemory
	bodies     *budget
	metrics    *metrics
	tally      *tally
	addresses  *buckets[netip.Addr]
	accounts   *buckets[string]
	sockets    *quota.Quota
	door       *door

	mu    sync.Mutex
	feeds map[string]*Feed // by camera
}

// New makes the ring of clients' pictures. It fails when there is no memory for it. The dispatcher's outcomes of StreamName must
// come to Outcome.
func New(settings Settings, dispatcher *dispatch.Dispatcher) (*Gateway, error) {
	g := &Gateway{
		settings: settings, dispatcher: dispatcher,
		decoding: newFairMemory(int64(settings.Limits.DecodeBytes)),
		bodies:   newBudget(int64(bodiesMost * settings.Limits.Bytes)),
		sockets:  quota.New(settings.Streams),
		tally:    newTally(), addresses: newBuckets[netip.Addr](settings.Rate), accounts: newBuckets[string](settings.AccountRate), door: newDoor(),
		feeds: map[string]*Feed{},
	}
	var err error
	if g.input, err = g.newLane(g.inputSpec(), 1); err != nil {
		return nil, err
	}
	g.metrics = newMetrics(g)
	return g, nil
}

// Close gives the ring back. Pictures that wait for a worker end as superseded.
func (g *Gateway) Close() {
	for _, l := range g.lanes() {
		l.stream.Retire()
	}
}

// request is one picture whose header is read.
type request struct {
	lane      *lane
	client    sender
	body      []byte
	header    Header
	arrivedNs int64
	draw      bool          // the picture itself is wanted back
	timeout   time.Duration // the request's own, 0 = none
}

// found is what came of a picture. Its owner calls release.
type found struct {
	number        uint64 // in the ring
	model         string
	width, height int        // upright
	faces         []hub.Face // that are told
	hides         []hub.Face // that no picture shows in which faces are hidden: a score decides what is told, not what is seen
	latency       hub.Latency
	picture       *frame.Picture // nil unless it was wanted
	reduce        int            // the picture is at 1/reduce of the scale
	release       func()
}

// detect sees one picture through. Errors are Refusals, or the context's when the client has gone.
func (g *Gateway) detect(ctx context.Context, r request) (found, error) {
	if !g.ready(r.lane) {
		return found{}, noWorker()
	}
	if until, set := ctx.Deadline(); set { // its client's, over gRPC
		r.within(max(time.Until(until), 1))
	}
	deadline := r.lane.pace.deadline()
	if r.timeout > 0 {
		deadline = min(deadline, r.timeout)
	}
	bounded, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	done, err := g.seeThrough(bounded, r)
	if err == nil {
		g.metrics.observe(done.latency)
	}
	return done, r.outOfTime(err, deadline)
}

// within gives the request a limit of its own, unless it has a shorter one.
func (r *request) within(limit time.Duration) {
	if r.timeout == 0 || limit < r.timeout {
		r.timeout = limit
	}
}

// outOfTime says whose limit it was that the picture ran into. Other errors stay as they are.
func (r request) outOfTime(err error, deadline time.Duration) error {
	switch {
	case !errors.Is(err, context.DeadlineExceeded):
		return err
	case r.timeout > 0 && deadline == r.timeout:
		return tooLateForItself(r.timeout)
	case errors.Is(err, errNeverLent):
		return busy(r.lane.backlog()) // workers have become slower: it would have been refused when it came
	}
	return tooLate(deadline)
}

// ready tells whether there is a worker, or was one that a picture has the time to wait for, and how long workers take. Called without a mutex: the dispatcher has its own.
func (g *Gateway) ready(l *lane) bool {
	workers, service := g.dispatcher.Capacity(l.pace.deadline())
	l.learn(service)
	l.follow(workers)
	return workers > 0
}

func (g *Gateway) seeThrough(ctx context.Context, r request) (found, error) {
	if err := r.lane.takePlace(ctx, r.client); err != nil {
		return found{}, err
	}
	grantedNs := frame.MonotonicNs()
	flight, err := g.intoSlot(ctx, r)
	if err != nil {
		return found{}, err
	}
	end, err := r.lane.fly(ctx, flight)
	if err != nil {
		return found{}, err
	}
	done := answered(r, end)
	done.hides = hub.AtLeast(min(g.settings.Score, hub.HidesMost), done.faces)
	done.faces = hub.AtLeast(g.settings.Score, done.faces)
	done.latency = stages(r, grantedNs, flight, end)
	if r.draw {
		done.reduce = g.affordable(r.header, 1)
		done.picture, done.release, err = g.decode(ctx, r, done.reduce)
	}
	return done, err
}

// intoSlot decodes the picture and draws it into a slot. The memory for decoding is free again when it returns, also where the picture is
// wanted back: whoever kept it while a worker thinks would keep all others waiting. On an error the place is free, too.
func (g *Gateway) intoSlot(ctx context.Context, r request) (*flight, error) {
	box := g.place(r)
	_, _, width, height := box.Inner()
	reduce := g.affordable(r.header, r.header.ReduceFor(width, height))
	picture, release, err := g.decode(ctx, r, reduce)
	if err != nil {
		r.lane.queue.free()
		return nil, neverLent(err)
	}
	defer release()
	box.Beyond = r.header.Beyond(reduce)
	return g.draw(picture, box, r)
}

// place is where the picture lies in its slot: centred in the network's input, or as large as it is.
func (g *Gateway) place(r request) geometry.Letterbox {
	width, height := r.header.Upright()
	if r.lane == g.input {
		return geometry.Fit(width, height, g.settings.InputWidth, g.settings.InputHeight)
	}
	return geometry.Corner(width, height, g.settings.FullSide)
}

// affordable is that reduction or a larger one, as memory allows: Inspect has refused what fits at none.
func (g *Gateway) affordable(h Header, reduce int) int {
	for h.Cost(reduce) > g.settings.Limits.DecodeBytes {
		reduce *= 2
	}
	return reduce
}

// decode takes memory for decoding, until release, and gives the upright picture at 1/reduce of the scale in memory of its own: what a
// damaged one leaves unwritten is black, and never another client's.
func (g *Gateway) decode(ctx context.Context, r request, reduce int) (*frame.Picture, func(), error) {
	cost := int64(r.header.Cost(reduce))
	if err := g.decoding.take(ctx, r.client, cost); err != nil {
		return nil, nil, err
	}
	pool := frame.NewPool(1)
	picture, _ := pool.Get()
	release := func() {
		picture.Release()
		pool.Close()
		g.decoding.giveBack(cost)
	}
	if err := g.settings.Tools.Decode(r.body, r.header, reduce, picture); err != nil {
		release()
		return nil, nil, notAPicture("The picture cannot be decoded: %v.", err)
	}
	return picture, release, nil
}

// draw letterboxes the picture into a slot. From Acquire on the slot's outcome frees the place.
func (g *Gateway) draw(picture *frame.Picture, box geometry.Letterbox, r request) (*flight, error) {
	slot := r.lane.stream.Acquire()
	if slot.Bytes() == nil {
		r.lane.queue.free()
		return nil, busy(r.lane.backlog()) // late workers hold so many slots, or the daemon ends
	}
	f := r.lane.board(slot)
	if err := g.settings.Tools.Draw(picture, slot.Bytes(), box); err != nil {
		slot.Abort()
		return nil, err
	}
	f.frame = dispatch.Frame{CapturedNs: r.arrivedNs, ReadyNs: frame.MonotonicNs(), Letterbox: box}
	return f, nil
}
