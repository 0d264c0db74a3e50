// SPDX-License-Identifier: Apache-2.0

package frame

import "sync"

// Pool lends pictures and bounds how many are alive. It is safe for use by many goroutines.
type Pool struct {
	mu     sync.Mutex
	most   int
	made   int
	free   []*Picture
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

// Close gives the memory of free pictures back to the system at once, and that of lent ones when they are released.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, picture := range p.free {
		picture.unmap()
	}
	p.free = nil
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
