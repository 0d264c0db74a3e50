// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"io"
	"sync"
)

// droppedMost is how many replaced pictures are remembered; then the reader waits, and with it, through TCP, the client.
const droppedMost = 256

// mailbox holds the newest picture of a stream.
type mailbox struct {
	replaced func()        // is told of each picture that a newer one replaced
	ready    chan struct{} // holds one token when there is a picture
	taken    chan struct{} // holds one token after a take

	mu      sync.Mutex
	next    parcel
	full    bool
	dropped []uint64
}

// parcel is a picture with its index, and the indices that were dropped since the one before.
type parcel struct {
	index   uint64
	picture *body // nil when there was no memory for it
	dropped []uint64
}

func newMailbox(replaced func()) *mailbox {
	return &mailbox{replaced: replaced, ready: make(chan struct{}, 1), taken: make(chan struct{}, 1)}
}

// put replaces the picture that waits. Where there was no memory for the picture it is nil, and replaces none. It waits while too
// many were dropped, and returns false when ctx ends first.
func (m *mailbox) put(ctx context.Context, index uint64, picture *body) bool {
	for !m.replace(index, picture) {
		select {
		case <-m.taken:
		case <-ctx.Done():
			picture.release()
			return false
		}
	}
	return true
}

func (m *mailbox) replace(index uint64, picture *body) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.dropped) >= droppedMost {
		return false
	}
	if picture == nil && m.full {
		m.drop(index)
		return true
	}
	if m.full {
		m.drop(m.next.index)
		m.next.picture.release()
	}
	m.next, m.full = parcel{index: index, picture: picture}, true
	signal(m.ready)
	return true
}

func (m *mailbox) drop(index uint64) {
	m.dropped = append(m.dropped, index)
	m.replaced()
}

// take waits for a picture and takes it; false when ctx ends first, or end is closed.
func (m *mailbox) take(ctx context.Context, end <-chan struct{}) (parcel, bool) {
	for {
		select {
		case <-m.ready:
			if next, full := m.open(); full {
				return next, true
			}
		case <-ctx.Done():
			return parcel{}, false
		case <-end:
			return parcel{}, false
		}
	}
}

// tryTake takes a picture if there is one.
func (m *mailbox) tryTake() (parcel, bool) {
	select {
	case <-m.ready:
		return m.open()
	default:
		return parcel{}, false
	}
}

// open empties the box; the caller has the token of ready. The box may be empty already: a picture that came between that token
// and this call has left a token of its own.
func (m *mailbox) open() (parcel, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.full {
		return parcel{}, false
	}
	next := m.next
	next.dropped = append([]uint64{}, m.dropped...) // never nil: none is [], not null
	m.next, m.full, m.dropped = parcel{}, false, nil
	signal(m.taken)
	return next, true
}

// holds tells whether a picture waits.
func (m *mailbox) holds() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.full
}

// close lets go of a picture that nobody took, and tells whether there was one.
func (m *mailbox) close() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	held := m.full
	m.next.picture.release()
	m.next, m.full = parcel{}, false
	return held
}

func signal(token chan struct{}) {
	select {
	case token <- struct{}{}:
	default: // the token of the last time is still there
	}
}

// drain reads a message to its end; false when the connection ends first.
func drain(message io.Reader) bool {
	_, err := io.Copy(io.Discard, message)
	return err == nil
}
