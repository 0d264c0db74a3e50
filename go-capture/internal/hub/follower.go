// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"time"

	"visavis/capture/internal/event"
	"visavis/capture/internal/track"
	"visavis/capture/internal/zone"
)

// follower turns the faces of one camera's frames into tracks, states and events.
//
// Its clock is that of the captures: while no frame comes, it runs on from the newest capture as fast as time does. So the
// time that a frame spends on its way counts for nothing, however slow the inference is.
type follower struct {
	tracker       *track.Tracker
	watcher       *zone.Watcher
	recorder      *event.Recorder
	nowNs         int64 // newest time on the captures' clock
	behindNs      int64 // of that clock behind the real one: how long the newest frame was on its way
	width, height int   // of the newest frame
	frames        int   // since they come without a gap
	hits          int   // of them, until a face can be believed; before, nobody can say that nobody is there
	boxes         []track.Box
	faces         []int // the face of each box
	events        []event.Event
}

// begin watches with other settings; whoever is there must have left before. No number is used again.
func (f *follower) begin(w Watch) {
	next := track.New(w.Tracker)
	if f.tracker != nil {
		next.GoOn(f.tracker)
	}
	f.tracker, f.watcher = next, zone.NewWatcher(w.Places)
	f.frames, f.hits = 0, max(w.Tracker.Hits, 1)
}

// frame gives each face its track. Faces that the camera's settings ignore have none.
func (f *follower) frame(faces []Face, width, height int, capturedNs, arrivedNs int64) {
	f.width, f.height, f.behindNs = width, height, max(arrivedNs-capturedNs, 0)
	f.tracker.Fit(width, height)
	f.boxes, f.faces = f.boxes[:0], f.faces[:0]
	for i, face := range faces {
		box := face.tracked()
		if !f.watcher.Settings().Ignores(box, width, height) {
			f.boxes, f.faces = append(f.boxes, box), append(f.faces, i)
		}
	}
	for i, id := range f.tracker.Update(f.boxes, capturedNs) {
		faces[f.faces[i]].Track = id
	}
	f.frames++
	f.look(capturedNs)
}

// looks tells whether it would be known if somebody were there.
func (f *follower) looks() bool { return f.frames >= f.hits }

// silence lets time pass up to nowNs on the real clock. awaited is for how long a worker may yet take to say who is there.
func (f *follower) silence(nowNs int64, awaited time.Duration) {
	nowNs = f.tracker.Await(nowNs-f.behindNs, awaited)
	if f.tracker.Overdue(nowNs) {
		f.frames = 0
	}
	f.tracker.Advance(nowNs)
	f.look(nowNs)
}

// leave ends everybody's visit.
func (f *follower) leave() {
	f.frames = 0
	f.record(f.watcher.Update(nil, f.width, f.height, f.nowNs))
}

func (f *follower) look(nowNs int64) {
	f.nowNs = max(f.nowNs, nowNs)
	f.record(f.watcher.Update(f.tracker.Tracks(), f.width, f.height, f.nowNs))
}

func (f *follower) record(moments []zone.Moment) {
	for _, m := range moments {
		f.events = append(f.events, f.recorder.Record(m))
	}
}

// takeEvents are those since the last call.
func (f *follower) takeEvents() []event.Event {
	taken := f.events
	f.events = nil
	return taken
}

// ZoneFigures is a zone and what it has seen since the camera was added.
type ZoneFigures struct {
	zone.Zone
	zone.Count
	Faces    int
	Occupied bool
}

// LineFigures is a line and what it has seen since the camera was added.
type LineFigures struct {
	zone.Line
	zone.Count
}

func (f *follower) zones() []ZoneFigures {
	places, states := f.watcher.Settings(), f.states()[1:]
	zones := make([]ZoneFigures, len(places.Zones))
	for i, z := range places.Zones {
		zones[i] = ZoneFigures{Zone: z, Count: f.watcher.Counts(z.Name), Faces: states[i].Faces, Occupied: states[i].Occupied}
	}
	return zones
}

func (f *follower) lines() []LineFigures {
	places := f.watcher.Settings()
	lines := make([]LineFigures, len(places.Lines))
	for i, l := range places.Lines {
		lines[i] = LineFigures{Line: l, Count: f.watcher.Counts(l.Name)}
	}
	return lines
}

func (f *follower) states() []zone.State { return f.watcher.States() }
