// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"visavis/capture/internal/waiting"
)

// begun begins to open in turn, and gives what came of it.
func begun(ctx context.Context, camera string, limit time.Duration, in turns, open func() (openCVCapture, error)) <-chan error {
	result := make(chan error, 1)
	go func() {
		opened, err := begin(ctx, limit, &reader{camera: camera, patience: newPatience(leastStallLimit), turns: in}, open)
		if err == nil {
			err = opened.Close()
		}
		result <- err
	}()
	return result
}

func TestWhoWaitsForItsTurnDoesNotHangAndHasItsWholeTimeThen(t *testing.T) {
	const limit = time.Second
	in, free, inside := make(turns, 1), make(chan struct{}), make(chan struct{})
	slow := begun(t.Context(), "slow", waiting.Most, in, func() (openCVCapture, error) {
		close(inside)
		<-free
		return gone{}, nil
	})
	<-inside
	ctx, cancel := context.WithCancel(t.Context())
	unwanted := begun(ctx, "unwanted", limit, in, func() (openCVCapture, error) {
		t.Error("it is opened for nobody")
		return gone{}, nil
	})
	waits := begun(t.Context(), "waits", limit, in, func() (openCVCapture, error) { return gone{}, nil })
	cancel()
	if err := <-unwanted; !errors.Is(err, context.Canceled) || !errors.Is(err, errNoTurn) {
		t.Errorf("one that is not wanted any more: %v", err)
	}
	if n := hanging.count("unwanted"); n != 0 {
		t.Errorf("%d calls hang", n)
	}
	time.Sleep(limit + limit/2)
	close(free)
	for name, result := range map[string]<-chan error{"slow": slow, "waits": waits} {
		if err := <-result; err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSilentCamerasThatComeAgainAtOnceLetAThirdHaveItsTurn(t *testing.T) {
	in, free, ctx := make(turns, 1), make(chan struct{}), waiting.Context(t)
	held := make(chan struct{}, 100)
	for range 2 {
		go func() {
			for in.take(ctx, waiting.Most, nil) == nil {
				held <- struct{}{}
				<-free
				in.give()
			}
		}()
	}
	<-held
	told, third := make(chan error, 2), make(chan error)
	go func() { third <- in.take(ctx, time.Millisecond, func(why error) { told <- why }) }()
	if why := <-told; !errors.Is(why, errWaits) { // it is in the queue
		t.Errorf("told %v", why)
	}
	time.Sleep(100 * time.Millisecond) // it stands there beside the other two
	close(free)
	if err := <-third; err != nil {
		t.Fatal(err)
	}
	if n := len(held); n > 1 {
		t.Errorf("the others had %d turns meanwhile, want one more at most", n)
	}
	if why := <-told; why != nil {
		t.Errorf("when it has its turn it is told %v", why)
	}
	in.give()
}

// It would be the last once more if it began to wait anew.
func TestToTellThatOneWaitsCostsNoPlace(t *testing.T) {
	in, order := make(turns, 1), make(chan string, 2)
	in <- struct{}{}
	told := make(chan error, 2)
	take := func(name string, long time.Duration) {
		if err := in.take(t.Context(), long, func(why error) { told <- why }); err != nil {
			t.Error(err)
		}
		order <- name
		in.give()
	}
	go take("first", time.Second)
	time.Sleep(100 * time.Millisecond)
	go take("second", waiting.Most)
	<-told
	in.give()
	if first := <-order; first != "first" {
		t.Errorf("%s has its turn first", first)
	}
	<-order
}

func TestWhatFailsSaysForHowLongOthersHadToWait(t *testing.T) {
	const limit = 50 * time.Millisecond
	free := make(chan struct{})
	silent := func() (openCVCapture, error) {
		<-free
		return gone{}, nil
	}
	err := <-begun(t.Context(), "silent", limit, make(turns, 1), silent)
	if took := TookTurn(fmt.Errorf("open rtsp source: %w", err)); !errors.Is(err, errNotOpened) || took < limit || took > waiting.Most {
		t.Errorf("%v after %v", err, took)
	}
	if err := <-begun(t.Context(), "of nobody's turn", limit, nil, silent); TookTurn(err) != 0 {
		t.Errorf("%v: it took %v of nobody", err, TookTurn(err))
	}
	close(free)
}
