// SPDX-License-Identifier: Apache-2.0

// Package aside does what may stand still with a disk, so that a program which is to end does not wait for it for ever.
package aside

import (
	"context"
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
