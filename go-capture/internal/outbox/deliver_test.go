// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"context"
	"errors"
	"testing"
)

// parcel is a delivery that the test ends.
type parcel struct {
	done chan struct{}
	err  error
}

func (p *parcel) Done() <-chan struct{} { return p.done }
func (p *parcel) Error() error          { return p.err }

func delivered(err error) *parcel {
	p := &parcel{make(chan struct{}), err}
	close(p.done)
	return p
}

var errLost = errors.New("connection lost")

func TestAFailedDeliveryEndsTheConnectionAndTheNextBeginsThere(t *testing.T) {
	o := open(t, Settings{Folder: t.TempDir()})
	put(t, o, 1, 10)
	err := o.Deliver(context.Background(), func(r Record) Delivery {
		if r.Seq >= 4 {
			return delivered(errLost)
		}
		return delivered(nil)
	})
	if !errors.Is(err, errLost) {
		t.Fatalf("%v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var got []string
	err = o.Deliver(ctx, func(r Record) Delivery {
		got = append(got, string(r.Payload))
		if r.Seq == 10 {
			cancel()
		}
		return delivered(nil)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	same(t, got, numbers(4, 10))
}

func TestADeliveryThatNeverEndsDoesNotOutliveItsContext(t *testing.T) {
	o := open(t, Settings{Folder: t.TempDir()})
	put(t, o, 1, 250)
	ctx, cancel := context.WithCancel(context.Background())
	published := 0
	err := o.Deliver(ctx, func(Record) Delivery {
		if published++; published == WindowMost {
			cancel() // the window is full: no more may come
		}
		return &parcel{done: make(chan struct{})}
	})
	if !errors.Is(err, context.Canceled) || published != WindowMost || o.Stats().Waiting != 250 {
		t.Errorf("%d published, %v, %+v", published, err, o.Stats())
	}
}
