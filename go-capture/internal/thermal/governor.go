// SPDX-License-Identifier: Apache-2.0

package thermal

import (
	"math"
	"sync"
	"time"
)

const (
	// Period is how often the temperature is looked at: heat sinks are slow, and a look costs a few system calls.
	Period = 2 * time.Second
	// leastShare leaves a device that burns a detector that still sees who stands there.
	leastShare = 0.1
	// Each level takes step of the share before: from full speed to the least in 20 looks, and back in as many.
	step       = 0.891
	levelsMost = 20
)

// Limits are the temperatures in °C between which nothing changes. Throttle 0 never slows.
type Limits struct{ ThrottleC, ResumeC float64 }

// State is what the last look found.
type State struct {
	TemperatureC *float64 // nil where nothing can be read
	Share        float64  // of their time in which workers may work, 0 to 1
}

// Slowed tells whether workers may not work all the time.
func (s State) Slowed() bool { return s.Share < 1 }

// Governor slows inference while the device is too hot. Its methods may be called from any goroutine.
type Governor struct {
	limits Limits
	mu     sync.Mutex
	level  int // of slowness
	state  State
}

// NewGovernor begins at full speed.
func NewGovernor(l Limits) *Governor { return &Governor{limits: l, state: State{Share: 1}} }

// Now is what the last look found.
func (g *Governor) Now() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state
}

// Look takes a temperature and returns the states before and after. Without one, a device that was slowed gets faster again:
// whoever took its sensors away has its firmware left, which slows it too.
func (g *Governor) Look(celsius *float64) (before, after State) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before = g.state
	g.level = g.next(celsius)
	g.state = State{TemperatureC: celsius, Share: max(math.Pow(step, float64(g.level)), leastShare)}
	return before, g.state
}

func (g *Governor) next(celsius *float64) int {
	switch {
	case g.limits.ThrottleC <= 0:
		return 0
	case celsius == nil || *celsius <= g.limits.ResumeC:
		return max(g.level-1, 0)
	case *celsius >= g.limits.ThrottleC:
		return min(g.level+1, levelsMost)
	}
	return g.level
}
