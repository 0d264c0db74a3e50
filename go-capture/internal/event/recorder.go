// SPDX-License-Identifier: Apache-2.0

package event

import (
	"time"

	"visavis/capture/internal/zone"
)

// Clock reads both clocks of the system.
type Clock struct {
	Wall        func() time.Time
	MonotonicNs func() int64
}

// at is the time of day of a monotonic time, as the wall clock sees it now.
func (c Clock) at(monotonicNs int64) Time {
	return Time{c.Wall().Add(-time.Duration(c.MonotonicNs() - monotonicNs))}
}

// Recorder makes the events of one camera. It is used by one goroutine.
type Recorder struct {
	camera string
	ids    *IDs
	clock  Clock
	visits map[uint64]*visit
}

// visit is what was said about a face that is there, so that the end says the same beginning.
type visit struct {
	id       string
	appeared Time
	entered  map[string]Time
}

// NewRecorder starts with nobody there.
func NewRecorder(camera string, ids *IDs, clock Clock) *Recorder {
	return &Recorder{camera: camera, ids: ids, clock: clock, visits: map[uint64]*visit{}}
}

// Record makes the event of a moment. Moments of one face come in order, Appeared first and Gone last.
func (r *Recorder) Record(m zone.Moment) Event {
	v := r.visit(m)
	e := Event{
		Schema: schemaVersion, Type: m.Kind, ID: r.ids.Next(r.clock.Wall()), Visit: v.id, Camera: r.camera, Track: m.Face.ID,
		Zone: m.Zone, Line: m.Line, Direction: m.Direction, Best: bestOf(m.Face.Best),
	}
	switch m.Kind {
	case zone.Appeared:
		e.StartedAt = v.appeared
	case zone.Entered:
		e.StartedAt = r.began(v, m)
		v.entered[m.Zone] = e.StartedAt
	case zone.Crossed:
		e.StartedAt = r.began(v, m)
	case zone.Left:
		e.StartedAt = v.entered[m.Zone]
		r.end(&e, m)
	case zone.Gone:
		e.StartedAt = v.appeared
		r.end(&e, m)
		delete(r.visits, m.Face.ID)
	}
	return e
}

// began is when a moment began. What began with the visit has its time, unless the clock was set: two looks at two clocks never say quite
// the same.
func (r *Recorder) began(v *visit, m zone.Moment) Time {
	at := r.clock.at(m.BeganNs)
	if m.BeganNs == m.Face.FirstNs && at.Sub(v.appeared.Time).Abs() < time.Second {
		return v.appeared
	}
	return at
}

func (r *Recorder) visit(m zone.Moment) *visit {
	v, known := r.visits[m.Face.ID]
	if !known {
		v = &visit{id: r.ids.Next(r.clock.Wall()), appeared: r.clock.at(m.Face.FirstNs), entered: map[string]Time{}}
		r.visits[m.Face.ID] = v
	}
	return v
}

func (r *Recorder) end(e *Event, m zone.Moment) {
	ended, dwellMs := r.clock.at(m.EndedNs), (m.EndedNs-m.BeganNs)/1e6
	e.EndedAt, e.DwellMs = &ended, &dwellMs
}
