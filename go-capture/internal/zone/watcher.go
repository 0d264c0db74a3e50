// SPDX-License-Identifier: Apache-2.0

package zone

import (
	"cmp"
	"slices"
	"time"

	"visavis/capture/internal/track"
)

// leaveAfter is how long a face must be seen outside before it has left a zone: one that stands on the border does not
// enter and leave with each shake of its box.
const leaveAfter = 500 * time.Millisecond

// Watcher watches one camera. It is used by one goroutine.
type Watcher struct {
	settings  Settings
	faces     []*visit // the oldest first
	occupancy *Occupancy
	zones     []*Occupancy
	counts    map[string]Count // by the name of a zone or line, which differ
	moments   []Moment
}

// visit is one face from its appearance until it is gone.
type visit struct {
	face  track.Track
	stays []stay     // by zone
	lines []crossing // by line
}

// stay is one face in one zone.
type stay struct {
	inside, entered bool
	sinceNs, lastNs int64 // first and last seen inside
	outNs           int64 // first seen outside since then; 0: it was not
}

// NewWatcher starts with nobody there.
func NewWatcher(s Settings) *Watcher {
	w := &Watcher{settings: s, occupancy: NewOccupancy(s.Occupied), counts: map[string]Count{}}
	for _, z := range s.Zones {
		w.zones = append(w.zones, NewOccupancy(z.Occupied))
	}
	return w
}

// Settings are what it was made with.
func (w *Watcher) Settings() Settings { return w.settings }

// Update takes the confirmed faces at nowNs, after a frame of width x height pixels or a tick, and returns what happened
// since the last call, in order. The answer is valid until the next call.
func (w *Watcher) Update(faces []track.Track, width, height int, nowNs int64) []Moment {
	w.moments = w.moments[:0]
	w.end(faces)
	for _, face := range faces {
		w.see(face, picture{float64(width), float64(height)})
	}
	w.occupancy.Update(len(faces), nowNs)
	for i, o := range w.zones {
		o.Update(w.inside(i), nowNs)
	}
	return w.moments
}

// end takes leave of the faces that are no longer there.
func (w *Watcher) end(faces []track.Track) {
	w.faces = slices.DeleteFunc(w.faces, func(v *visit) bool {
		if slices.ContainsFunc(faces, func(f track.Track) bool { return f.ID == v.face.ID }) {
			return false
		}
		for i := range v.stays {
			w.leave(v, i)
		}
		w.moments = append(w.moments, Moment{Kind: Gone, Face: v.face, BeganNs: v.face.FirstNs, EndedNs: v.face.SeenNs})
		return true
	})
}

func (w *Watcher) see(face track.Track, p picture) {
	v := w.visit(face)
	if v.face.SeenNs == face.SeenNs && v.face.ID == face.ID {
		return // not seen again since the last call
	}
	appeared, before := v.face.ID == 0, face.Before
	v.face = face
	v.face.Before = nil // the tracker's, and only until its next frame
	if appeared {
		w.moments = append(w.moments, Moment{Kind: Appeared, Face: v.face, BeganNs: face.FirstNs})
		for _, sight := range before { // nothing could be told of a face that was not believed, but it was there
			w.follow(v, sight, p)
		}
	}
	w.follow(v, track.Sight{Box: face.Box, SeenNs: face.SeenNs}, p)
}

// follow takes one place where a face was seen.
func (w *Watcher) follow(v *visit, seen track.Sight, p picture) {
	at := middle(seen.Box, p)
	for i, z := range w.settings.Zones {
		w.step(v, i, z.Polygon.Contains(at), seen.SeenNs)
	}
	for i, line := range w.settings.Lines {
		if direction, crossed := v.lines[i].step(line, p, at, float64(max(seen.Box.W, seen.Box.H))); crossed {
			w.cross(v, line, direction, seen.SeenNs)
		}
	}
}

func (w *Watcher) visit(face track.Track) *visit {
	i, found := slices.BinarySearchFunc(w.faces, face.ID, func(v *visit, id uint64) int { return cmp.Compare(v.face.ID, id) })
	if !found {
		fresh := &visit{stays: make([]stay, len(w.settings.Zones)), lines: make([]crossing, len(w.settings.Lines))}
		w.faces = slices.Insert(w.faces, i, fresh)
	}
	return w.faces[i]
}

// step follows one face at one zone.
func (w *Watcher) step(v *visit, i int, inside bool, nowNs int64) {
	s := &v.stays[i]
	switch {
	case inside && !s.inside:
		*s = stay{inside: true, sinceNs: nowNs, lastNs: nowNs}
	case inside:
		s.lastNs, s.outNs = nowNs, 0
	case s.inside && s.outNs == 0:
		s.outNs = nowNs
	case s.inside && nowNs-s.outNs >= leaveAfter.Nanoseconds():
		w.leave(v, i)
	}
	z := w.settings.Zones[i]
	if inside && !s.entered && nowNs-s.sinceNs >= z.MinDwell.Nanoseconds() {
		s.entered = true
		w.count(z.Name, Count{Entered: 1})
		w.moments = append(w.moments, Moment{Kind: Entered, Face: v.face, Zone: z.Name, BeganNs: s.sinceNs})
	}
}

// leave ends a stay; one that never became an entry ends unnoticed.
func (w *Watcher) leave(v *visit, i int) {
	s, z := v.stays[i], w.settings.Zones[i]
	v.stays[i] = stay{}
	if s.entered {
		w.count(z.Name, Count{Left: 1})
		w.moments = append(w.moments, Moment{Kind: Left, Face: v.face, Zone: z.Name, BeganNs: s.sinceNs, EndedNs: s.lastNs})
	}
}

func (w *Watcher) cross(v *visit, l Line, direction Direction, atNs int64) {
	one := Count{In: 1}
	if direction == Out {
		one = Count{Out: 1}
	}
	w.count(l.Name, one)
	w.moments = append(w.moments, Moment{Kind: Crossed, Face: v.face, Line: l.Name, Direction: direction, BeganNs: atNs})
}

func (w *Watcher) count(name string, more Count) {
	c := w.counts[name]
	w.counts[name] = Count{c.Entered + more.Entered, c.Left + more.Left, c.In + more.In, c.Out + more.Out}
}

// Counts are what a zone or line has seen since the watcher began.
func (w *Watcher) Counts(name string) Count { return w.counts[name] }

// inside is how many faces have entered a zone and not left it.
func (w *Watcher) inside(zone int) int {
	count := 0
	for _, v := range w.faces {
		if v.stays[zone].entered {
			count++
		}
	}
	return count
}

// States are what is believed about the whole picture, first, and about each zone.
func (w *Watcher) States() []State {
	states := make([]State, 1, 1+len(w.settings.Zones))
	states[0] = State{Faces: len(w.faces), Occupied: w.occupancy.On()}
	for i, z := range w.settings.Zones {
		states = append(states, State{Zone: z.Name, Faces: w.inside(i), Occupied: w.zones[i].On()})
	}
	return states
}
