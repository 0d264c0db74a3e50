// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"sync"
	"time"

	"visavis/capture/internal/engine"
)

// progressPause is how long MQTT's retained info keeps one percentage: each change of it is a message to every subscriber.
const progressPause = 5 * time.Second

// calm lets the progress of a build through now and then, and everything else about it at once.
type calm struct {
	mu   sync.Mutex
	told *engine.State
	at   time.Time
}

// of is what to tell at an instant.
func (c *calm) of(state *engine.State, at time.Time) *engine.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	if onlyProgress(c.told, state) && at.Sub(c.at) < progressPause {
		return c.told
	}
	c.told, c.at = state, at
	return state
}

// onlyProgress tells whether two states differ in nothing but how far the build is.
func onlyProgress(before, after *engine.State) bool {
	if before == nil || after == nil {
		return false
	}
	was := *before
	was.Percent, was.Phase = after.Percent, after.Phase
	return was == *after
}
