// SPDX-License-Identifier: Apache-2.0

package portrait

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"visavis/capture/internal/event"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/zone"
)

const (
	sentPerSecond = 1    // pictures of one camera that go to the broker
	framesMost    = 2    // of one camera that wait for the painter, who holds their memory
	ordersMost    = 256  // of all cameras
	muchBetter    = 0.05 // in score: reason enough for another look at the same visit
	betterEveryNs = int64(time.Second)
)

// orders are the pictures that are to be made. What the painter cannot keep up with is left out.
type orders struct {
	expect   func(id, camera string)  // a picture of this event will be kept; nil: none are
	mayLeave func(camera string) bool // pictures of the camera may go to the broker
	wake     chan struct{}

	mu     sync.Mutex
	visits map[trackOf]*visit
	rates  map[string]*rate.Limiter
	queue  []*order
	holds  map[string]int // orders of each camera that hold a frame
}

type trackOf struct {
	camera string
	track  uint64
}

// visit is somebody who is there.
type visit struct {
	thumbnail string  // path of the picture with which it began
	score     float32 // of the best look that was ordered
	orderedNs int64
	improved  bool // a better look than the first was ordered

	best *Look // that look; the painter's
}

// order is what the painter does at once: looks at faces in one frame, or keeping the best look of a visit that ended.
type order struct {
	frame *hub.Result // nil when only kept
	looks []wanted
}

// wanted is one look, and what it is for.
type wanted struct {
	face geometry.Box
	id   string // of the event whose picture it is; "" = of none yet
	of   *visit
	send bool // to the broker
}

func newOrders(expect func(id, camera string), mayLeave func(camera string) bool) *orders {
	return &orders{
		expect: expect, mayLeave: mayLeave, wake: make(chan struct{}, 1),
		visits: map[trackOf]*visit{}, rates: map[string]*rate.Limiter{}, holds: map[string]int{},
	}
}

// Illustrate implements hub.Illustrator.
func (o *orders) Illustrate(results []*hub.Result, e *event.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	who := trackOf{e.Camera, e.Track}
	if e.Type == zone.Appeared {
		o.begin(results, e)
	}
	v, known := o.visits[who]
	if !known {
		return
	}
	e.Thumbnail = v.thumbnail
	if e.Type == zone.Gone {
		delete(o.visits, who)
		o.end(v, e)
	}
}

// begin orders a picture of who has appeared, from the frame in which somebody was first believed.
func (o *orders) begin(results []*hub.Result, e *event.Event) {
	frame, face, seen := sight(results, e)
	if !seen {
		return
	}
	v := &visit{score: face.Score, orderedNs: frame.CapturedNs}
	one := wanted{face: face.Box, of: v, send: o.mayLeave(e.Camera) && o.rate(e.Camera).Allow()}
	if o.expect != nil {
		one.id = e.ID
	}
	if (one.id == "" && !one.send) || !o.order(frame, one) {
		return
	}
	if one.id != "" {
		o.visits[trackOf{e.Camera, e.Track}] = v
		v.thumbnail = o.expected(e)
	}
}

// end orders that the best look is kept, if there was one after the first.
func (o *orders) end(v *visit, e *event.Event) {
	if v.improved && o.order(nil, wanted{id: e.ID, of: v}) {
		e.Thumbnail = o.expected(e)
	}
}

func (o *orders) expected(e *event.Event) (path string) {
	o.expect(e.ID, e.Camera)
	return event.ThumbnailPath(e.ID)
}

// sight is the first frame that shows a face as followed, sure or not.
func sight(results []*hub.Result, e *event.Event) (*hub.Result, hub.Face, bool) {
	for _, r := range results {
		if r.Picture == nil || r.Camera != e.Camera {
			continue
		}
		for _, faces := range [][]hub.Face{r.Faces, r.Unsure} {
			for _, face := range faces {
				if face.Track == e.Track {
					return r, face, true
				}
			}
		}
	}
	return nil, hub.Face{}, false
}

// Take implements hub.Leaf.
func (o *orders) Take(r *hub.Result) {
	if r.Picture == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, face := range r.Faces {
		v, known := o.visits[trackOf{r.Camera, face.Track}]
		if !known || face.Score < v.score+muchBetter || r.CapturedNs < v.orderedNs+betterEveryNs {
			continue
		}
		if o.order(r, wanted{face: face.Box, of: v}) {
			v.score, v.orderedNs, v.improved = face.Score, r.CapturedNs, true
		}
	}
}

func (o *orders) rate(camera string) *rate.Limiter {
	if o.rates[camera] == nil {
		o.rates[camera] = rate.NewLimiter(sentPerSecond, 1)
	}
	return o.rates[camera]
}

// order puts a look in line behind those before it; looks at one frame share its memory. It is refused when too much waits.
func (o *orders) order(r *hub.Result, one wanted) (taken bool) {
	if n := len(o.queue); n > 0 && r != nil && o.queue[n-1].shows(r.Picture) {
		o.queue[n-1].looks = append(o.queue[n-1].looks, one)
		return true
	}
	if len(o.queue) >= ordersMost || r != nil && o.holds[r.Camera] >= framesMost {
		return false
	}
	made := &order{looks: []wanted{one}}
	if r != nil {
		r.Picture.Retain()
		shown := *r
		made.frame = &shown
		o.holds[r.Camera]++
	}
	o.queue = append(o.queue, made)
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return true
}

func (a *order) shows(picture *frame.Picture) bool {
	return a.frame != nil && a.frame.Picture == picture
}

// next takes what waits longest; nil when nothing does.
func (o *orders) next() *order {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return nil
	}
	first := o.queue[0]
	o.queue[0] = nil
	o.queue = o.queue[1:]
	return first
}

// done gives a frame's memory back.
func (o *orders) done(made *order) {
	if made.frame == nil {
		return
	}
	made.frame.Picture.Release()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.holds[made.frame.Camera]--
}
