// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"errors"
	"testing"
	"time"

	"visavis/capture/internal/dispatch/dispatchtest"
	"visavis/capture/internal/openinference"
	"visavis/capture/internal/waiting"
)

// hasPlaces tells whether nobody holds a place of the ring, or waits for one or for a worker.
func (l *lender) hasPlaces() {
	l.t.Helper()
	if queued, busy := l.lengths(); queued != 0 || busy != 0 {
		l.t.Errorf("%d pictures wait, and %d have a place", queued, busy)
	}
	if n := len(l.input.flights); n != 0 {
		l.t.Errorf("%d pictures are on their way", n)
	}
}

// takes has a picture take a place.
func (l *lender) takes(ctx context.Context, from sender) error { return l.input.takePlace(ctx, from) }

func TestAPictureThatDoesNotComeIntoASlotHoldsNothing(t *testing.T) {
	damaged := errors.New("damaged")
	for what, spoil := range map[string]func(*lender){
		"it cannot be decoded": func(l *lender) { l.settings.Tools.Decode = decoded(damaged) },
		"it cannot be drawn":   func(l *lender) { l.settings.Tools.Draw = drawn(damaged) },
		"there is no slot":     func(l *lender) { l.Close() },
	} {
		l := openLender(t)
		spoil(l)
		if err := l.takes(waiting.Context(t), sender{}); err != nil {
			t.Fatal(err)
		}
		asked := request{lane: l.input, header: Header{Type: jpegType, Width: 64, Height: 48, Orientation: 1}}
		if _, err := l.intoSlot(waiting.Context(t), asked); err == nil {
			t.Errorf("%s, and it has a slot", what)
		}
		l.hasPlaces()
		l.hasAll()
	}
}

func TestThereAreAsManyPlacesAsWorkersMayHold(t *testing.T) {
	l := openLender(t)
	dispatchtest.Stuck(t, l.dispatcher)
	waiting.Until(t, "two are ready", func() bool { n, _ := l.dispatcher.Capacity(0); return n == 2 })
	if l.ready(l.input); l.input.queue.places != 2+placesBeside {
		t.Errorf("there are %d places for two workers", l.input.queue.places)
	}
}

// Both have come at once: it is left to chance which of them it sees.
func TestAClientThatGoesAsItsTurnComesLeavesItsPlace(t *testing.T) {
	l := openLender(t)
	gone, leave := context.WithCancel(context.Background())
	leave()
	for range 64 {
		if l.takes(gone, sender{}) == nil {
			l.input.queue.free()
		}
	}
	l.hasPlaces()
}

// A worker that began now would not be done by then.
func TestAPictureWhoseTurnComesTooLateFreesItsPlace(t *testing.T) {
	l := openLender(t)
	l.input.learn(time.Hour)
	if err := l.takes(waiting.Context(t), sender{}); !errors.Is(err, errNeverLent) {
		t.Errorf("with no time left it is told %v", err)
	}
	l.hasPlaces()
}

func TestAPictureThatGaveWayHasNoPlace(t *testing.T) {
	l := openLender(t)
	for range l.input.queue.places {
		if err := l.takes(waiting.Context(t), address(1)); err != nil {
			t.Fatal(err)
		}
	}
	told := make(chan error, 1)
	go func() { told <- l.takes(waiting.Context(t), address(1)) }()
	waiting.Until(t, "it waits", func() bool { queued, _ := l.lengths(); return queued == 1 })
	l.input.queue.mu.Lock()
	l.input.queue.evict()
	l.input.queue.mu.Unlock()
	if err := waiting.For(t, "it is told", told); !IsBusy(err) {
		t.Errorf("it is told %v", err)
	}
}

// It may be what the worker died of: the next one would, too.
func TestAPictureInItsOwnSizeWhoseWorkerDiesIsLentToNoOther(t *testing.T) {
	l := openLender(t)
	l.settings.FullSide = 32
	told := make(chan error, 1)
	go func() {
		_, _, err := l.Infer(waiting.Context(t), Caller{}, func() (Call, error) {
			return Call{Model: "centerface", Request: openinference.Request{
				Options: openinference.Options{Full: true}, Pixels: make([]byte, 32*32*3), Width: 32, Height: 32}}, nil
		})
		told <- err
	}()
	workers := func() int { return len(l.dispatcher.Snapshot().Workers) }
	waiting.Until(t, "its worker has it", func() bool { return l.dispatcher.Snapshot().Workers[0].Outstanding == 1 })
	dispatchtest.Stuck(t, l.dispatcher)
	waiting.Until(t, "another worker is there", func() bool { return workers() == 2 })
	_ = l.worker.Close() // it dies
	waiting.Until(t, "its worker is gone", func() bool { return workers() == 1 })
	for _, s := range l.dispatcher.Snapshot().Streams {
		if s.Counters.LentAgain != 0 {
			t.Fatalf("of %s %d are lent again", s.Name, s.Counters.LentAgain)
		}
	}
	if err := waiting.For(t, "its client is told", told); refusalOf(err).Reason != reasonFailed {
		t.Errorf("its client is told %v", err)
	}
}
