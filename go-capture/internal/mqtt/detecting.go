// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"sync"
	"sync/atomic"
)

// looks is at which cameras somebody looks for faces. That nobody does any more is told by the hub, before the 0 that follows from it;
// that somebody does is read, for there is more to ask than whether results come.
type looks struct {
	read atomic.Pointer[func() map[string]bool]

	mu   sync.Mutex
	ends int // that the hub has told of
}

// DetectingFrom sets where to read in which cameras somebody looks for faces. It is read as the info is: a worker that is back within that
// time was hardly away.
func (p *Publisher) DetectingFrom(read func() map[string]bool) { p.looks.read.Store(&read) }

// TakeDetecting implements hub.DetectingTaker.
func (p *Publisher) TakeDetecting(camera string, detecting bool) {
	if detecting {
		return
	}
	p.looks.mu.Lock()
	defer p.looks.mu.Unlock()
	p.looks.ends++
	p.setDetecting(camera, false, false)
}

// readDetecting leaves a reading that is older than an end; the next one knows of it.
func (p *Publisher) readDetecting() {
	read := p.looks.read.Load()
	if read == nil {
		return
	}
	before := p.looks.endsNow()
	all := (*read)()
	p.looks.mu.Lock()
	defer p.looks.mu.Unlock()
	if p.looks.ends != before {
		return
	}
	for camera, detecting := range all {
		p.setDetecting(camera, detecting, false)
	}
}

func (l *looks) endsNow() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ends
}

func (p *Publisher) setDetecting(camera string, detecting, ifNew bool) {
	p.states.set(DetectingTopic(p.settings.Prefix, p.settings.Device, camera), presence(detecting), ifNew)
}
