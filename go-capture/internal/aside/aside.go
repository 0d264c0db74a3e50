// SPDX-License-Identifier: Apache-2.0

// Package aside does what may stand still with a disk, so that a program which is to end does not wait for it for ever.
package aside

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Within does it, and returns once it is done; at the latest that long after ctx ended. What stands still then is left behind.
func Within(ctx context.Context, most time.Duration, do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}

// Together ends all at the same time, so that one whose disk stands still takes nothing from what the others have. The error joins theirs.
func Together(ctx context.Context, ends ...func(context.Context) error) error {
	failed := make([]error, len(ends))
	var all sync.WaitGroup
	all.Add(len(ends))
	for i, end := range ends {
		go func() {
			defer all.Done()
			failed[i] = end(ctx)
		}()
	}
	all.Wait()
	return errors.Join(failed...)
}
