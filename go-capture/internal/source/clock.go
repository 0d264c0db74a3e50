// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"time"
)

// clock paces sources that have no rhythm of their own.
type clock struct {
	interval time.Duration
	next     time.Time
}

func newClock(fps float64) *clock {
	return &clock{interval: time.Duration(float64(time.Second) / fps), next: time.Now()}
}

// wait sleeps until the next picture is due. After a pause longer than ten pictures it goes on from now: no burst.
func (c *clock) wait(ctx context.Context) error {
	now := time.Now()
	if now.Sub(c.next) > 10*c.interval {
		c.next = now
	}
	timer := time.NewTimer(c.next.Sub(now))
	defer timer.Stop()
	c.next = c.next.Add(c.interval)
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
