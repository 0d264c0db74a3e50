// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"context"
	"errors"
	"testing"

	"visavis/capture/internal/waiting"
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

func TestAnAcknowledgementOfWhatIsNotInFlightCountsForNothing(t *testing.T) {
	o := loadedFrom(t, newMemoryDisk(), Settings{})
	put(t, o, 1, 3)
	taken(t, o, false)
	o.Ack(1)
	o.Ack(1)
	o.Rewind()
	o.Ack(3) // of the connection before
	if s := o.Stats(); s.Waiting != 2 {
		t.Errorf("%+v", s)
	}
	same(t, taken(t, o, true), numbers(2, 3))
}

func TestWhoWaitsIsWokenByAnEventAndByRoomInTheWindow(t *testing.T) {
	o := loadedFrom(t, newMemoryDisk(), Settings{Window: 1})
	nudge(o.ready)
	<-o.ready // of the start
	put(t, o, 1, 2)
	waiting.For(t, "an event wakes it", o.ready)
	same(t, taken(t, o, false), numbers(1, 1))
	o.Ack(1)
	waiting.For(t, "room wakes it", o.ready)
}

func TestAnAcknowledgementIsSavedByItself(t *testing.T) {
	o := newOutbox(Settings{}, newMemoryDisk())
	go o.run()
	put(t, o, 1, 3)
	waiting.Until(t, "the writer has nothing to do", func() bool { return len(o.wake) == 0 })
	if err := o.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		o.Ack(mustNext(t, o).Seq)
	}
	waiting.Until(t, "it is saved", func() bool {
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.saved == 3
	})
	if err := o.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestOnceADiskThatHungGoesOnADeliveryWaitsForItAgain(t *testing.T) {
	o := loadedFrom(t, newMemoryDisk(), Settings{Window: 10})
	put(t, o, 1, 40)
	o.goOnUnsaved()
	for range 20 {
		o.Ack(mustNext(t, o).Seq)
	}
	round(t, o)
	for found := true; found; {
		var record Record
		record, found, _ = o.take()
		o.Ack(record.Seq)
	}
	if s := o.Stats(); s.Waiting != 10 {
		t.Errorf("%+v", s)
	}
}
