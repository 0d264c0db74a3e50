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
	told     Time // what the wall clock said when it began, or since it was set
	toldNs   int64
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
		e.StartedAt = r.at(v, m.BeganNs)
		v.entered[m.Zone] = e.StartedAt
	case zone.Crossed:
		e.StartedAt = r.at(v, m.BeganNs)
	case zone.Left:
		e.StartedAt = v.entered[m.Zone]
		r.end(v, &e, m)
	case zone.Gone:
		e.StartedAt = v.appeared
		r.end(v, &e, m)
		delete(r.visits, m.Face.ID)
	}
	return e
}

// stepMost is by how much a wall clock may be out of step with a visit and not be taken to have been set. Two looks at two clocks never say
// quite the same, and a clock that is put right moves a little.
const stepMost = time.Second

// at is the time of day of a monotonic time of a visit: as far from what was told of it before as it lies, unless the clock was set.
func (r *Recorder) at(v *visit, monotonicNs int64) Time {
	said, steady := r.clock.at(monotonicNs), Time{v.told.Add(time.Duration(monotonicNs - v.toldNs))}
	if said.Sub(steady.Time).Abs() < stepMost {
		return steady
	}
	v.told, v.toldNs = said, monotonicNs
	return said
}

func (r *Recorder) visit(m zone.Moment) *visit {
	v, known := r.visits[m.Face.ID]
	if !known {
		appeared := r.clock.at(m.Face.FirstNs)
		v = &visit{id: r.ids.Next(r.clock.Wall()), appeared: appeared, entered: map[string]Time{}, told: appeared, toldNs: m.Face.FirstNs}
		r.visits[m.Face.ID] = v
	}
	return v
}

func (r *Recorder) end(v *visit, e *Event, m zone.Moment) {
	ended, dwellMs := r.at(v, m.EndedNs), (m.EndedNs-m.BeganNs)/1e6
	e.EndedAt, e.DwellMs = &ended, &dwellMs
}
