// SPDX-License-Identifier: Apache-2.0

package frame

import (
	"slices"
	"sync"
)

// shrinkEvery is after how many pictures lent the pool looks for some that nobody needed: half a minute of a camera at 30 fps.
const shrinkEvery = 1024

// Pool lends pictures and bounds how many are alive. It is safe for use by many goroutines.
type Pool struct {
	mu     sync.Mutex
	most   int
	made   int
	free   []*Picture // a stack: those at its bottom are used least
	lent   int        // since the pool shrank
	unused int        // of free, from the bottom, that were not lent since
	closed bool
}

// NewPool makes a pool of at most `most` pictures; memory is mapped when a picture first gets its size.
func NewPool(most int) *Pool {
	if most < 1 {
		panic("frame: a pool needs at least one picture")
	}
	return &Pool{most: most}
}

// Get lends a picture with one holder. It has the size, but not the content, of its last use. It returns false when all
// pictures are in use or the pool is closed.
func (p *Pool) Get() (*Picture, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	picture := p.take()
	if picture == nil {
		return nil, false
	}
	p.unused = min(p.unused, len(p.free))
	if p.lent++; p.lent == shrinkEvery {
		p.shrink()
	}
	picture.JPEG, picture.CapturedNs, picture.DriverSeq = nil, 0, 0
	picture.refs.Store(1)
	return picture, true
}

// take finds the picture that was used last, whose memory is the warmest, or makes one.
func (p *Pool) take() *Picture {
	if last := len(p.free) - 1; last >= 0 {
		picture := p.free[last]
		p.free = p.free[:last]
		return picture
	}
	if p.closed || p.made == p.most {
		return nil
	}
	p.made++
	return &Picture{pool: p}
}

// shrink gives back to the system what one busy moment needed and nothing since.
func (p *Pool) shrink() {
	for _, picture := range p.free[:p.unused] {
		picture.unmap()
	}
	p.made -= p.unused
	p.free = slices.Delete(p.free, 0, p.unused)
	p.lent, p.unused = 0, len(p.free)
}

// Close gives the memory of free pictures back to the system at once, and that of lent ones when they are released.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, picture := range p.free {
		picture.unmap()
	}
	p.free, p.unused = nil, 0
}

// put takes back a picture that nobody holds.
func (p *Pool) put(picture *Picture) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		picture.unmap()
		return
	}
	p.free = append(p.free, picture)
}
