// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"syscall"
	"time"

	"visavis/capture/internal/source"
	"visavis/capture/internal/usbreset"
)

// healer resets the USB device of a camera that hangs. Only the camera's goroutine uses it, but for the count.
type healer struct {
	watch *usbreset.Watch
	reset func(ctx context.Context, uri string) (port string, err error)
	done  atomic.Uint64
	told  string // what was done since it gave its last picture, for the camera's error
}

func newHealer(now func() time.Time) *healer {
	return &healer{watch: usbreset.New(now), reset: source.ResetUSB}
}

// gave notes for how long the camera gave pictures.
func (h *healer) gave(long time.Duration) {
	h.watch.Gave(long)
	h.told = ""
}

// heal takes what a try ended with, and resets the camera's USB device when it is time for that.
func (c *camera) heal(ctx context.Context, err error) {
	if ctx.Err() != nil || !source.Hangs(err) {
		c.healer.watch.Other()
		return
	}
	if !c.healer.watch.Silent() {
		return
	}
	port, err := c.healer.reset(ctx, c.settings.Source)
	switch {
	case ctx.Err() != nil || errors.Is(err, usbreset.ErrNoCamera) || errors.Is(err, syscall.EBUSY):
	case err != nil:
		c.notReset(port, err)
	default:
		c.wasReset(port)
	}
}

func (c *camera) wasReset(port string) {
	c.healer.done.Add(1)
	c.healer.told = "; a reset of its USB device did not help: pull its plug"
	if c.log.Lost("its USB device was reset") {
		slog.Warn("camera hangs, its USB device was reset", "camera", c.settings.ID, "port", port)
	}
}

func (c *camera) notReset(port string, err error) {
	c.healer.told = "; its USB device cannot be reset: " + err.Error()
	if c.log.Lost(c.healer.told) {
		slog.Warn("camera hangs, its USB device cannot be reset", "camera", c.settings.ID, "port", port, "error", err)
	}
}
