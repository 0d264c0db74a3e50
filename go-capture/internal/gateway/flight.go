// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"

	"visavis/capture/internal/dispatch"
)

var errEvicted = errors.New("gave its place in the queue to a client with fewer pictures")

// flight is one slot of the ring, from Acquire until its outcome.
type flight struct {
	slot  *dispatch.Slot
	seq   uint64
	frame dispatch.Frame
	ended chan dispatch.Outcome // holds one
}

// board notes a slot, so that its outcome finds the way back.
func (l *lane) board(slot *dispatch.Slot) *flight {
	f := &flight{slot: slot, seq: slot.Seq(), ended: make(chan dispatch.Outcome, 1)}
	l.mu.Lock()
	l.flights[f.seq] = f
	l.mu.Unlock()
	return f
}

// Outcome takes the end of one of the clients' pictures, frees its place and never blocks.
func (g *Gateway) Outcome(o dispatch.Outcome) {
	if o.Stream == StreamName {
		g.input.landed(o)
	} else if full := g.full.Load(); full != nil {
		full.landed(o)
	}
}

func (l *lane) landed(o dispatch.Outcome) {
	l.mu.Lock()
	f := l.flights[o.Seq]
	delete(l.flights, o.Seq)
	l.mu.Unlock()
	if f == nil {
		return // it found no slot, so it never flew
	}
	l.pace.observe(o, o.Frame.ReadyNs)
	f.ended <- o
	l.queue.free()
}

// fly publishes the picture and waits for its end. When the client goes first, or the deadline comes, the picture is withdrawn.
func (l *lane) fly(ctx context.Context, f *flight) (dispatch.Outcome, error) {
	f.slot.Publish(f.frame)
	select {
	case o := <-f.ended:
		return o, verdict(o)
	case <-ctx.Done():
		if l.stream.Withdraw(f.seq) {
			return dispatch.Outcome{}, neverLent(ctx.Err())
		}
		return dispatch.Outcome{}, ctx.Err()
	}
}

func verdict(o dispatch.Outcome) error {
	switch o.Fate {
	case dispatch.Inferred:
		return nil
	case dispatch.Abandoned:
		return failed("The workers that had the picture ended, or could not read it.")
	default:
		return failed("The daemon ends.")
	}
}
