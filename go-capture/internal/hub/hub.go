// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"context"
	"sync"
	"time"

	"visavis/capture/internal/event"
	"visavis/capture/internal/frame"
)

var realClock = event.Clock{Wall: time.Now, MonotonicNs: frame.MonotonicNs}

const tickInterval = 100 * time.Millisecond // how finely silence is noticed

// Hub is the one place where frames are put in order. One goroutine, Run, does all the work.
type Hub struct {
	leaves  []Leaf
	wake    chan struct{}
	awaited func() map[string]time.Duration

	queueMu sync.Mutex
	queue   []entry
	ended   bool // nobody takes from queue any more

	mu      sync.Mutex // guards cameras, held while one entry is handled
	cameras map[string]*camera
	ids     *event.IDs
}

// entry is an arrival, or news about a camera.
type entry struct {
	arrival *arrival
	camera  string
	news    news
	watch   Watch   // of news added
	score   float64 // of news scored
	atNs    int64
}

func (e entry) release() {
	if e.arrival != nil {
		e.arrival.release()
	}
}

type news int

const (
	added news = iota + 1
	removed
	scored
)

// New makes a hub that tells each leaf in this order.
func New(leaves ...Leaf) *Hub {
	return &Hub{leaves: leaves, wake: make(chan struct{}, 1), cameras: map[string]*camera{}, ids: event.NewIDs(),
		awaited: func() map[string]time.Duration { return nil }}
}

// AwaitedFrom is asked which cameras' frames are with workers or wait for them, and for how long that may be; otherwise none are. Call it
// before Run.
func (h *Hub) AwaitedFrom(awaited func() map[string]time.Duration) { h.awaited = awaited }

// Resume goes on after a process that was killed: ids rise above its last one, and the visits that it left open end. Call it before Run.
func (h *Hub) Resume(lastID string, unfinished []event.Event) error {
	if err := h.ids.GoOn(lastID); err != nil {
		return err
	}
	h.tell(told{events: event.Closing(unfinished, h.ids, realClock)})
	return nil
}

// CameraAdded says what is watched at a camera whose stream begins; without it the defaults hold.
func (h *Hub) CameraAdded(id string, w Watch) { h.append(entry{camera: id, news: added, watch: w}) }

// CameraRemoved forgets the faces and figures of a camera whose stream was retired. The dispatcher numbers the frames of a
// later stream of that name on, so the order is kept; results still on their way from the old stream are not shown and
// count as superseded. Who was there is told to have left.
func (h *Hub) CameraRemoved(id string) { h.append(entry{camera: id, news: removed}) }

// ScoreChanged sets the least score of a face that is told at a camera. Who is followed stays followed, and who is hidden hidden.
func (h *Hub) ScoreChanged(id string, least float64) {
	h.append(entry{camera: id, news: scored, score: least})
}

// append never blocks on anything but a queue append. After the end it lets go of the picture: frames may end later than the hub.
func (h *Hub) append(e entry) {
	e.atNs = frame.MonotonicNs()
	h.queueMu.Lock()
	ended := h.ended
	if !ended {
		h.queue = append(h.queue, e)
	}
	h.queueMu.Unlock()
	if ended {
		e.release()
		return
	}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Run handles outcomes until ctx ends; then it tells that everybody has left, and lets go of every picture it still holds.
func (h *Hub) Run(ctx context.Context) error {
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	defer h.close()
	for {
		select {
		case <-ctx.Done():
			h.drain()
			h.farewell()
			return nil
		case <-h.wake:
			h.drain()
		case <-ticker.C:
			h.tick(frame.MonotonicNs())
		}
	}
}

func (h *Hub) take() []entry {
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

func (h *Hub) handle(e entry) {
	h.mu.Lock()
	var told told
	if e.arrival != nil {
		told = h.camera(e.arrival.camera).arrived(e.arrival, e.atNs)
	} else {
		told = h.hear(e)
	}
	h.mu.Unlock()
	h.tell(told)
}

func (h *Hub) hear(e entry) (said told) {
	c := h.camera(e.camera)
	switch e.news {
	case added:
		said = c.emptied()
		c.watch(e.watch)
		said.states = append(said.states, c.changed()...)
	case removed:
		said = c.emptied()
		h.cameras[e.camera] = c.successor(e.atNs)
	case scored:
		c.rescore(e.score)
	}
	return said
}

func (h *Hub) camera(id string) *camera {
	c, known := h.cameras[id]
	if !known {
		c = newCamera(id, event.NewRecorder(id, h.ids, realClock))
		h.cameras[id] = c
	}
	return c
}

// tell hands results to the leaves outside the mutex, then releases the hub's own hold on each picture.
func (h *Hub) tell(t told) {
	h.illustrate(t)
	for _, r := range t.results {
		r.stampPublished(frame.MonotonicNs())
		for _, leaf := range h.leaves {
			leaf.Take(r)
		}
		if r.Picture != nil {
			r.Picture.Release()
		}
	}
	for _, leaf := range h.leaves {
		h.tellChanges(leaf, t)
	}
}

// illustrate lets events say where their pictures will be, before anybody hears of them.
func (h *Hub) illustrate(t told) {
	for _, leaf := range h.leaves {
		if illustrator, ok := leaf.(Illustrator); ok {
			for i := range t.events {
				illustrator.Illustrate(t.results, &t.events[i])
			}
		}
	}
}

// tellChanges tells a leaf what happened before what is the case now.
func (h *Hub) tellChanges(leaf Leaf, t told) {
	detecting, takesDetecting := leaf.(DetectingTaker)
	if takesDetecting && t.ended != "" {
		detecting.TakeDetecting(t.ended, false)
	}
	if taker, ok := leaf.(EventTaker); ok {
		for _, e := range t.events {
			taker.TakeEvent(e)
		}
	}
	if taker, ok := leaf.(StateTaker); ok {
		for _, s := range t.states {
			taker.TakeState(s)
		}
	}
	if takesDetecting && t.begun != "" {
		detecting.TakeDetecting(t.begun, true)
	}
}

// tick lets time pass. A frame that was awaited no more when that was asked has ended, and its outcome is here: it is heard first.
func (h *Hub) tick(nowNs int64) {
	awaited := h.awaited()
	h.drain()
	h.mu.Lock()
	var changed []told
	for id, c := range h.cameras {
		changed = append(changed, c.silence(nowNs, awaited[id]))
	}
	h.mu.Unlock()
	for _, t := range changed {
		h.tell(t)
	}
}

// farewell ends every visit: nobody looks any more.
func (h *Hub) farewell() {
	h.mu.Lock()
	var said []told
	for _, c := range h.cameras {
		said = append(said, c.emptied())
	}
	h.mu.Unlock()
	for _, t := range said {
		h.tell(t)
	}
}

func (h *Hub) close() {
	h.queueMu.Lock()
	h.ended = true
	h.queueMu.Unlock()
	for _, e := range h.take() {
		e.release()
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

// Detecting tells whether results of a camera come. While they do not, nobody knows who is there.
func (h *Hub) Detecting(camera string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, known := h.cameras[camera]
	return known && c.looks
}
