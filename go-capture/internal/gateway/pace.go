// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"sync"
	"time"

	"visavis/capture/internal/dispatch"
)

// pace is what is measured of the workers: how long a picture takes, and how often one is done while others wait. The second
// holds what cameras take and what several workers do side by side.
type pace struct {
	configured time.Duration // the deadline
	most       int           // pictures that may wait, whatever is measured

	mu         sync.Mutex
	serviceNs  float64 // 0 = not known yet
	intervalNs float64
	lastNs     int64 // when the last result came
}

const (
	smoothing = 8   // each sample moves an average by an eighth
	caution   = 0.5 // of the deadline is promised: service times scatter
	patience  = 3   // a picture may take this many service times, or a slow machine would refuse everybody
)

// learn takes the workers' time for a frame, cameras' included: it is known before the first client comes. 0 is no news: it is not known of
// workers that have just come.
func (p *pace) learn(service time.Duration) {
	if service == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serviceNs = float64(service)
	if p.intervalNs == 0 {
		p.intervalNs = p.serviceNs
	}
}

// observe takes the end of one picture that was ready for a worker at readyNs.
func (p *pace) observe(o dispatch.Outcome, readyNs int64) {
	if o.Fate != dispatch.Inferred {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	sample := float64(o.ResultNs - max(readyNs, p.lastNs))
	if p.intervalNs == 0 {
		p.intervalNs = sample
	}
	p.intervalNs += (sample - p.intervalNs) / smoothing
	p.lastNs = max(p.lastNs, o.ResultNs)
}

func (p *pace) deadline() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.configured, time.Duration(patience*p.serviceNs))
}

// room is how many pictures may wait so that the last of them is answered before its deadline.
func (p *pace) room(busy int) int {
	deadline := p.deadline()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.intervalNs <= 0 {
		return p.most
	}
	return min(p.most, int(caution*float64(deadline)/p.intervalNs)-busy)
}

// until is how long it takes until so many pictures are done.
func (p *pace) until(pictures int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Duration(float64(pictures) * p.intervalNs)
}

// hopeless tells whether what is left of a deadline is less than a worker needs.
func (p *pace) hopeless(left time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return float64(left) < p.serviceNs
}
