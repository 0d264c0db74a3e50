// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"sync"
	"time"

	"visavis/capture/internal/frame"
)

const tickInterval = 100 * time.Millisecond // how finely silence is noticed

// Hub is the one place where frames are put in order. One goroutine, Run, does all the work.
type Hub struct {
	leaves []Leaf
	wake   chan struct{}

	queueMu sync.Mutex
	queue   []event

	mu      sync.Mutex // guards cameras, held while one event is handled
	cameras map[string]*camera
}

// event is an arrival, or news about a camera.
type event struct {
	arrival *arrival
	camera  string
	news    news
	atNs    int64
}

type news int

const (
	lost news = iota + 1
	back
	removed
)

// New makes a hub that tells each leaf in this order.
func New(leaves ...Leaf) *Hub {
	return &Hub{leaves: leaves, wake: make(chan struct{}, 1), cameras: map[string]*camera{}}
}

// CameraLost notes that a camera gives no frames. Its faces fall with time, not at once: a short gap is not an empty room.
func (h *Hub) CameraLost(id string) { h.append(event{camera: id, news: lost}) }

// CameraBack notes that a lost camera delivers again.
func (h *Hub) CameraBack(id string) { h.append(event{camera: id, news: back}) }

// CameraRemoved forgets the faces and figures of a camera whose stream was retired. The dispatcher numbers the frames of a
// later stream of that name on, so the order is kept; results still on their way from the old stream are not shown and
// count as superseded.
func (h *Hub) CameraRemoved(id string) { h.append(event{camera: id, news: removed}) }

// append never blocks on anything but a queue append.
func (h *Hub) append(e event) {
	e.atNs = frame.MonotonicNs()
	h.queueMu.Lock()
	h.queue = append(h.queue, e)
	h.queueMu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Run handles outcomes until ctx ends, then lets go of every picture it still holds.
func (h *Hub) Run(ctx context.Context) error {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	defer h.close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.wake:
			h.drain()
		case <-ticker.C:
			h.tick(frame.MonotonicNs())
		}
	}
}

func (h *Hub) take() []event {
	h.queueMu.Lock()
	defer h.queueMu.Unlock()
	events := h.queue
	h.queue = nil
	return events
}

func (h *Hub) drain() {
	for _, e := range h.take() {
		h.handle(e)
	}
}

func (h *Hub) handle(e event) {
	h.mu.Lock()
	var results []*Result
	var state *State
	if e.arrival != nil {
		results, state = h.camera(e.arrival.camera).arrived(e.arrival, e.atNs)
	} else {
		state = h.hear(e)
	}
	h.mu.Unlock()
	h.tell(results, state)
}

func (h *Hub) hear(e event) *State {
	c := h.camera(e.camera)
	c.online = e.news == back
	if e.news != removed {
		return nil
	}
	fresh := newCamera(e.camera, e.atNs)
	fresh.sequencer = c.sequencer
	h.cameras[e.camera] = fresh
	return &State{Camera: e.camera}
}

func (h *Hub) camera(id string) *camera {
	c, known := h.cameras[id]
	if !known {
		c = newCamera(id, 0)
		h.cameras[id] = c
	}
	return c
}

// tell hands results to the leaves outside the mutex, then releases the hub's own hold on each picture.
func (h *Hub) tell(results []*Result, state *State) {
	for _, r := range results {
		r.stampPublished(frame.MonotonicNs())
		for _, leaf := range h.leaves {
			leaf.Take(r)
		}
		if r.Picture != nil {
			r.Picture.Release()
		}
	}
	if state == nil {
		return
	}
	for _, leaf := range h.leaves {
		if taker, ok := leaf.(StateTaker); ok {
			taker.TakeState(*state)
		}
	}
}

func (h *Hub) tick(nowNs int64) {
	h.mu.Lock()
	var changed []*State
	for _, c := range h.cameras {
		if state := c.silence(nowNs); state != nil {
			changed = append(changed, state)
		}
	}
	h.mu.Unlock()
	for _, state := range changed {
		h.tell(nil, state)
	}
}

func (h *Hub) close() {
	for _, e := range h.take() {
		if e.arrival != nil {
			e.arrival.release()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.cameras {
		c.sequencer.close()
	}
}

// Snapshot returns the figures of a camera; all zero for one that is not known.
func (h *Hub) Snapshot(camera string) CameraFigures {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, known := h.cameras[camera]
	if !known {
		return CameraFigures{}
	}
	return c.figures(frame.MonotonicNs())
}
