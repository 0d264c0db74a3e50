// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"visavis/capture/internal/aside"
)

// acknowledgeWithin is how long a broker may take over one record before the connection counts as dead.
const acknowledgeWithin = 30 * time.Second

// heldMost is how long the end of Deliver waits for a reader that a disk holds.
const heldMost = time.Second

// Delivery is a record under way to the broker; paho.Token is one.
type Delivery interface {
	Done() <-chan struct{}
	Error() error
}

// sending is a record and its delivery.
type sending struct {
	seq      uint64
	delivery Delivery
}

// Deliver is one connection's work: it publishes everything that is not acknowledged, in order, then what comes, and settles what
// the broker acknowledges. It returns the first failure, or ctx's error; what is not settled then comes again with the next call.
// publish is called from one goroutine and must keep the order. A reader that a disk holds is left behind a moment after the end; the next
// call waits for it to come back.
func (o *Outbox) Deliver(ctx context.Context, publish func(Record) Delivery) error {
	select {
	case o.delivering <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	o.Rewind()
	group, ctx := errgroup.WithContext(ctx)
	sent := make(chan sending, o.settings.Window)
	group.Go(func() error { return o.send(ctx, publish, sent) })
	group.Go(func() error { return o.settle(ctx, sent) })
	ended := make(chan error, 1)
	aside.Within(ctx, heldMost, func() {
		err := group.Wait()
		o.endReading()
		ended <- err
	})
	select {
	case err := <-ended:
		return err
	default: // a disk holds the reader: what is said is why the end was to come
		return context.Cause(ctx)
	}
}

// endReading lets the next one read; what is closed meanwhile has left its cursor to us.
func (o *Outbox) endReading() {
	if o.isShut() {
		o.cursor.close()
	}
	<-o.delivering
}

func (o *Outbox) isShut() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.shut
}

func (o *Outbox) send(ctx context.Context, publish func(Record) Delivery, sent chan<- sending) error {
	for {
		record, err := o.Next(ctx)
		if err != nil {
			return err
		}
		select {
		case sent <- sending{record.Seq, publish(record)}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settle waits for one delivery after another, as brokers acknowledge in order.
func (o *Outbox) settle(ctx context.Context, sent <-chan sending) error {
	limit := time.NewTimer(acknowledgeWithin)
	defer limit.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s := <-sent:
			limit.Reset(acknowledgeWithin)
			if err := s.wait(ctx, limit.C); err != nil {
				return err
			}
			o.Ack(s.seq)
		}
	}
}

func (s sending) wait(ctx context.Context, limit <-chan time.Time) error {
	select {
	case <-s.delivery.Done():
	case <-ctx.Done():
		return ctx.Err()
	case <-limit:
		return fmt.Errorf("the broker has not acknowledged event %d within %s", s.seq, acknowledgeWithin)
	}
	if err := s.delivery.Error(); err != nil {
		return fmt.Errorf("publish event %d: %w", s.seq, err)
	}
	return nil
}
