// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"strconv"
	"sync"
)

// State is how a camera is set now.
type State struct {
	Enabled bool
	Detect  bool
	Privacy string
	Score   float64
}

// Text is one part of the state as it is told, and as an order would say it.
func (s State) Text(name string) string {
	switch name {
	case Enabled:
		return word(s.Enabled)
	case Detect:
		return word(s.Detect)
	case Privacy:
		return s.Privacy
	case Score:
		return strconv.FormatFloat(s.Score, 'f', -1, 64)
	}
	return ""
}

func word(on bool) string {
	if on {
		return On
	}
	return Off
}

// with is the state after an order.
func (s State) with(o Order) State {
	switch o.Name {
	case Enabled:
		s.Enabled = o.On
	case Detect:
		s.Detect = o.On
	case Privacy:
		s.Privacy = o.Privacy
	case Score:
		s.Score = o.Score
	}
	return s
}

// Camera holds the state of one camera for everybody who asks, from any goroutine.
type Camera struct {
	mu      sync.Mutex
	state   State
	changed chan struct{} // closed at the next change
}

// NewCamera begins with a state.
func NewCamera(s State) *Camera { return &Camera{state: s, changed: make(chan struct{})} }

// Now is the state.
func (c *Camera) Now() State {
	now, _ := c.look()
	return now
}

func (c *Camera) look() (now State, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, c.changed
}

func (c *Camera) set(s State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
	close(c.changed)
	c.changed = make(chan struct{})
}

// Await returns when the camera is switched on, or off; false when ctx ended before.
func (c *Camera) Await(ctx context.Context, enabled bool) bool {
	for {
		now, changed := c.look()
		if now.Enabled == enabled {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// While makes a context that also ends when the camera is not switched on any more, or not off.
func (c *Camera) While(ctx context.Context, enabled bool) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		c.Await(ctx, !enabled)
	}()
	return ctx, cancel
}
