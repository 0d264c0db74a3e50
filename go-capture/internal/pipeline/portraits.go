// SPDX-License-Identifier: Apache-2.0

package pipeline

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
	sentPerSecond  = 1    // pictures of one camera that go to the broker
	portraitMargin = 0.75 // of the face's box, on each side
	portraitWidth  = 320  // pixels at most

	framesMost    = 2    // of one camera that wait for the painter, who holds their memory
	ordersMost    = 256  // of all cameras
	muchBetter    = 0.05 // in score: reason enough for another look at the same visit
	betterEveryNs = int64(time.Second)
)

// portraits orders pictures of who appears, for the album, to which events refer, and for the broker, of cameras whose pictures may
// leave; a painter makes them beside everything else. A visit is shown as it began, and at its end by its best look, if that was
// much better. It is a hub.Leaf: what the painter cannot keep up with is left out.
type portraits struct {
	rules portraitRules
	wake  chan struct{}

	mu     sync.Mutex
	visits map[trackOf]*visit
	rates  map[string]*rate.Limiter
	orders []*order
	holds  map[string]int // orders of each camera that hold a frame
}

// portraitRules are what the configuration wants.
type portraitRules struct {
	expect func(id string)          // a picture of this event will be kept; nil: none are
	leaves func(camera string) bool // pictures of the camera may go to the broker
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

	best *look // that look; the painter's
}

// look is a picture of a face.
type look struct {
	camera, privacy string
	jpeg            []byte
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

func newPortraits(rules portraitRules) *portraits {
	return &portraits{
		rules: rules, wake: make(chan struct{}, 1), visits: map[trackOf]*visit{}, rates: map[string]*rate.Limiter{}, holds: map[string]int{},
	}
}

// Illustrate implements hub.Illustrator.
func (p *portraits) Illustrate(results []*hub.Result, e *event.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	who := trackOf{e.Camera, e.Track}
	if e.Type == zone.Appeared {
		p.begin(results, e)
	}
	v, known := p.visits[who]
	if !known {
		return
	}
	e.Thumbnail = v.thumbnail
	if e.Type == zone.Gone {
		delete(p.visits, who)
		p.end(v, e)
	}
}

// begin orders a picture of who has appeared, from the frame in which somebody was first believed.
func (p *portraits) begin(results []*hub.Result, e *event.Event) {
	frame, face, seen := sight(results, e)
	if !seen {
		return
	}
	v := &visit{score: face.Score, orderedNs: frame.CapturedNs}
	one := wanted{face: face.Box, of: v, send: p.rules.leaves(e.Camera) && p.rate(e.Camera).Allow()}
	if p.rules.expect != nil {
		one.id = e.ID
	}
	if (one.id == "" && !one.send) || !p.order(frame, one) {
		return
	}
	if one.id != "" {
		p.visits[trackOf{e.Camera, e.Track}] = v
		v.thumbnail = p.expected(e.ID)
	}
}

// end orders that the best look is kept, if there was one after the first.
func (p *portraits) end(v *visit, e *event.Event) {
	if v.improved && p.order(nil, wanted{id: e.ID, of: v}) {
		e.Thumbnail = p.expected(e.ID)
	}
}

func (p *portraits) expected(id string) (path string) {
	p.rules.expect(id)
	return event.ThumbnailPath(id)
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
func (p *portraits) Take(r *hub.Result) {
	if r.Picture == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, face := range r.Faces {
		v, known := p.visits[trackOf{r.Camera, face.Track}]
		if !known || face.Score < v.score+muchBetter || r.CapturedNs < v.orderedNs+betterEveryNs {
			continue
		}
		if p.order(r, wanted{face: face.Box, of: v}) {
			v.score, v.orderedNs, v.improved = face.Score, r.CapturedNs, true
		}
	}
}

func (p *portraits) rate(camera string) *rate.Limiter {
	if p.rates[camera] == nil {
		p.rates[camera] = rate.NewLimiter(sentPerSecond, 1)
	}
	return p.rates[camera]
}

// order puts a look in line behind those before it; looks at one frame share its memory. It is refused when too much waits.
func (p *portraits) order(r *hub.Result, one wanted) (taken bool) {
	if n := len(p.orders); n > 0 && r != nil && p.orders[n-1].shows(r.Picture) {
		p.orders[n-1].looks = append(p.orders[n-1].looks, one)
		return true
	}
	if len(p.orders) >= ordersMost || r != nil && p.holds[r.Camera] >= framesMost {
		return false
	}
	made := &order{looks: []wanted{one}}
	if r != nil {
		r.Picture.Retain()
		shown := *r
		made.frame = &shown
		p.holds[r.Camera]++
	}
	p.orders = append(p.orders, made)
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return true
}

func (o *order) shows(picture *frame.Picture) bool {
	return o.frame != nil && o.frame.Picture == picture
}

// next takes what waits longest; nil when nothing does.
func (p *portraits) next() *order {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.orders) == 0 {
		return nil
	}
	first := p.orders[0]
	p.orders[0] = nil
	p.orders = p.orders[1:]
	return first
}

// done gives a frame's memory back.
func (p *portraits) done(o *order) {
	if o.frame == nil {
		return
	}
	o.frame.Picture.Release()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holds[o.frame.Camera]--
}

// around is the part of the picture that a portrait shows.
func around(face geometry.Box) geometry.Box {
	return geometry.Box{
		X: face.X - portraitMargin*face.W, Y: face.Y - portraitMargin*face.H,
		W: (1 + 2*portraitMargin) * face.W, H: (1 + 2*portraitMargin) * face.H,
	}
}

// widthFor is that of a whole picture of which a part is a portrait's width.
func widthFor(whole int, part geometry.Box) int {
	if part.W <= portraitWidth {
		return whole
	}
	return max(1, int(float64(whole)*(portraitWidth-1)/float64(part.W))) // one less: the part is widened to whole pixels
}
