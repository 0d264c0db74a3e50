// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
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
