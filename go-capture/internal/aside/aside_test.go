// SPDX-License-Identifier: Apache-2.0

package aside

import (
	"context"
	"errors"
	"testing"
	"time"

	"visavis/capture/internal/waiting"
)

func TestMain(m *testing.M) { waiting.ForGoroutines(m) }

func TestWhatEndsIsWaitedFor(t *testing.T) {
	ended, end := context.WithCancel(context.Background())
	end()
	for name, ctx := range map[string]context.Context{"while nobody wants to end": context.Background(), "and a moment after": ended} {
		done := false
		Within(ctx, time.Minute, func() {
			time.Sleep(10 * time.Millisecond)
			done = true
		})
		if !done {
			t.Errorf("%s it is not waited for", name)
		}
	}
}

func TestWhatStandsStillIsLeftBehind(t *testing.T) {
	never := make(chan struct{})
	defer close(never)
	ctx, end := context.WithCancel(context.Background())
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		Within(ctx, time.Millisecond, func() { <-never })
	}()
	end()
	select {
	case <-returned:
	case <-time.After(10 * time.Second):
		t.Error("it is waited for")
	}
}

func TestOneThatStandsStillTakesNothingFromTheOthers(t *testing.T) {
	ctx, end := context.WithCancel(context.Background())
	held := func(ctx context.Context) error { <-ctx.Done(); return errors.New("held") }
	inTime := func(ctx context.Context) error { defer end(); return ctx.Err() }
	if err := Together(ctx, held, inTime, held); err == nil || err.Error() != "held\nheld" {
		t.Error(err)
	}
}
