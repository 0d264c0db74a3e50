// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/ring"
)

// Names of the ring's streams of clients' pictures. No camera can have them.
const (
	StreamName = "@clients"
	fullName   = "@clients-full" // of pictures in their own size
)

// lane is one ring of clients' pictures, with the queue in front of its places and what is on its way.
type lane struct {
	stream *dispatch.Stream
	queue  *fairQueue
	pace   *pace
	work   float64 // frames of the network's input that the largest picture of the lane counts as
	credit int     // frames that each worker may hold, 0 where the number of places does not depend on workers

	mu      sync.Mutex
	flights map[uint64]*flight // published pictures by their number in the ring
}

func (g *Gateway) newLane(spec dispatch.StreamSpec, work float64) (*lane, error) {
	spec.Guest, spec.Depth = true, ring.MaxSlots
	stream, err := g.dispatcher.AddStream(spec)
	if err != nil {
		return nil, fmt.Errorf("make the ring of clients' pictures: %w", err)
	}
	deadline := time.Duration(work * float64(g.settings.Deadline))
	l := &lane{stream: stream, work: work, pace: &pace{configured: deadline, most: g.settings.Queue}, flights: map[uint64]*flight{}}
	l.queue = newFairQueue(spec.Slots, g.settings.QueuePerClient, l.pace.room)
	if spec.Slots == 0 {
		l.credit = g.settings.Credit
		l.follow(g.settings.Workers)
	}
	return l, nil
}

// follow gives as many places as the workers may hold, and those beside: of the former at most half of a ring, since a late worker may
// hold a slot whose place is free again.
func (l *lane) follow(workers int) {
	if l.credit > 0 {
		l.queue.resize(min(max(workers, 1)*l.credit, (ring.MaxSlots-placesBeside)/2) + placesBeside)
	}
}

// inputSpec is of pictures in the network's size.
func (g *Gateway) inputSpec() dispatch.StreamSpec {
	s := g.settings
	return dispatch.StreamSpec{Name: StreamName, Width: s.InputWidth, Height: s.InputHeight, Beside: placesBeside, Tries: tries}
}

// fullLane is of pictures in their own size, made when the first one comes: a slot of it is large. It has one place: a network that
// looks at such a picture takes hundreds of megabytes, and one at a time is what a device must have room for. A picture whose worker
// died over it is not lent again.
func (g *Gateway) fullLane() (*lane, error) {
	side := g.settings.FullSide / geometry.Multiple * geometry.Multiple
	if side == 0 {
		return nil, badRequest("input=full: gateway.full_side = %d allows no pictures in their own size; leave it out.", g.settings.FullSide)
	}
	g.making.Lock()
	defer g.making.Unlock()
	if made := g.full.Load(); made != nil {
		return made, nil
	}
	unit := g.settings.InputWidth * g.settings.InputHeight
	made, err := g.newLane(dispatch.StreamSpec{Name: fullName, Width: side, Height: side, OwnSize: true, Unit: unit, Slots: 1},
		max(1, float64(side*side)/float64(unit)))
	if err != nil {
		return nil, err
	}
	g.full.Store(made)
	return made, nil
}

// lanes are those that exist.
func (g *Gateway) lanes() []*lane {
	if full := g.full.Load(); full != nil {
		return []*lane{g.input, full}
	}
	return []*lane{g.input}
}

// Takes tells whether the outcomes of a stream are the gateway's.
func Takes(stream string) bool { return stream == StreamName || stream == fullName }

// learn takes how long workers need for a frame of the network's input.
func (l *lane) learn(service time.Duration) {
	l.pace.learn(time.Duration(l.work * float64(service)))
}

// errNeverLent is a deadline that passed, or was bound to, before a worker had the picture.
var errNeverLent = fmt.Errorf("never lent to a worker: %w", context.DeadlineExceeded)

// takePlace waits in the queue. Without an error the place is the caller's, who frees it or lets an outcome do so.
func (l *lane) takePlace(ctx context.Context, client sender) error {
	t, ok := l.queue.enter(client)
	if !ok {
		return busy(l.backlog())
	}
	select {
	case verdict := <-t.verdict:
		if errors.Is(verdict, errEvicted) {
			return busy(l.backlog())
		}
	case <-ctx.Done():
		if l.queue.leave(t) {
			l.queue.free()
		}
		return neverLent(ctx.Err())
	}
	if until, set := ctx.Deadline(); set && l.pace.hopeless(time.Until(until)) {
		l.queue.free()
		return errNeverLent
	}
	return nil
}

// neverLent says of a deadline that it passed before a worker had the picture. Other errors stay as they are.
func neverLent(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errNeverLent
	}
	return err
}

// backlog is how long everything that waits now will take.
func (l *lane) backlog() time.Duration {
	waiting, busy := l.queue.lengths()
	return l.pace.until(waiting + busy)
}
