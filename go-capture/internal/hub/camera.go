// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"slices"
	"time"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/track"
)

const (
	windowNs       = int64(5 * time.Second) // of the frame rates
	latencyResults = 256                    // newest results that the percentiles look at
)

// CameraFigures is what is measured of one camera.
type CameraFigures struct {
	Online                   bool
	FPSCaptured, FPSInferred float64 // over the last 5 s
	Captured, Inferred       uint64  // frames that have ended, since the stream began
	Dropped                  Dropped
	P50, P99                 Latency // ms, each stage by itself, over the last 256 results
	Faces                    int
	Occupied                 bool
}

// camera is everything the hub knows of one stream.
type camera struct {
	id        string
	beganNs   int64 // frames captured earlier belong to a stream that was retired
	online    bool
	sequencer *sequencer
	tracker   *track.Tracker
	occupancy *track.Occupancy
	nowNs     int64 // newest time seen; ticks run ahead of the frames' capture times
	told      State

	captured, inferred     uint64
	dropped                Dropped
	capturedNs, inferredNs []int64 // arrival times within the window
	latencies              []Latency
}

func newCamera(id string, beganNs int64) *camera {
	return &camera{
		id: id, beganNs: beganNs, sequencer: newSequencer(), tracker: track.New(track.Defaults()),
		occupancy: track.NewOccupancy(track.OffDelay), told: State{Camera: id},
	}
}

// arrived takes an outcome that came in at atNs and returns the results whose turn has come.
func (c *camera) arrived(a *arrival, atNs int64) (results []*Result, state *State) {
	end := a.fate
	ready := func(first *arrival, dropped Dropped) {
		if first.capturedNs < c.beganNs {
			first.release()
			c.sequencer.dropped = dropped.Plus(Dropped{Superseded: 1})
			return
		}
		results = append(results, c.result(first, dropped))
	}
	if !c.sequencer.push(a, ready) {
		return nil, nil
	}
	c.online = true
	c.captured++
	c.capturedNs = append(since(c.capturedNs, atNs-windowNs), atNs)
	if end == inferred {
		c.inferred++
		c.inferredNs = append(since(c.inferredNs, atNs-windowNs), atNs)
	} else {
		c.dropped.count(end)
	}
	return results, c.changed()
}

// silence lets time pass; it returns the state if it changed.
func (c *camera) silence(nowNs int64) *State {
	c.nowNs = max(c.nowNs, nowNs)
	c.tracker.Advance(c.nowNs)
	c.occupancy.Update(c.tracker.Confirmed(), c.nowNs)
	return c.changed()
}

func (c *camera) changed() *State {
	now := State{Camera: c.id, Confirmed: c.tracker.Confirmed(), Occupied: c.occupancy.On()}
	if now == c.told {
		return nil
	}
	c.told = now
	return &now
}

func (c *camera) result(a *arrival, dropped Dropped) *Result {
	faces := undo(a)
	c.follow(faces, a.capturedNs)
	r := &Result{
		Camera: c.id, Seq: a.seq, CapturedNs: a.capturedNs, Model: a.model, Faces: faces,
		CapturedAt: time.Now().Add(-time.Duration(frame.MonotonicNs() - a.capturedNs)),
		Width:      a.letterbox.SourceWidth, Height: a.letterbox.SourceHeight,
		Confirmed: c.tracker.Confirmed(), Occupied: c.occupancy.On(),
		Latency: stages(a), Dropped: dropped, Picture: a.picture,
	}
	r.stampPublished(frame.MonotonicNs())
	if len(c.latencies) == latencyResults {
		c.latencies = slices.Delete(c.latencies, 0, 1)
	}
	c.latencies = append(c.latencies, r.Latency)
	return r
}

// follow gives each face its track. The tracker knows only the frames' own times, of which some are behind the ticks.
func (c *camera) follow(faces []Face, capturedNs int64) {
	boxes := make([]track.Box, len(faces))
	for i, f := range faces {
		boxes[i] = track.Box{X: f.Box.X, Y: f.Box.Y, W: f.Box.W, H: f.Box.H, Score: f.Score}
	}
	c.nowNs = max(c.nowNs, capturedNs)
	for i, id := range c.tracker.Update(boxes, c.nowNs) {
		faces[i].Track = id
	}
	c.occupancy.Update(c.tracker.Confirmed(), c.nowNs)
}

func undo(a *arrival) []Face {
	faces := make([]Face, len(a.detections))
	for i, d := range a.detections {
		faces[i] = Face{Box: a.letterbox.Undo(d.x1, d.y1, d.x2, d.y2), Score: d.score}
		for _, p := range d.landmarks {
			faces[i].Landmarks = append(faces[i].Landmarks, a.letterbox.UndoPoint(p.X, p.Y))
		}
	}
	return faces
}

func stages(a *arrival) Latency {
	return Latency{
		Capture: ms(a.readyNs - a.capturedNs), Queue: ms(a.dispatchNs - a.readyNs),
		Handoff: ms(a.inferBeginNs - a.dispatchNs + a.resultNs - a.inferEndNs), Infer: ms(a.inferEndNs - a.inferBeginNs),
	}
}

// stampPublished sets the two stages that end now.
func (r *Result) stampPublished(nowNs int64) {
	l := &r.Latency
	r.PublishedNs = nowNs
	l.Total = ms(nowNs - r.CapturedNs)
	l.Publish = l.Total - l.Capture - l.Queue - l.Handoff - l.Infer
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }

func since(times []int64, oldestNs int64) []int64 {
	first, _ := slices.BinarySearch(times, oldestNs)
	return times[first:]
}

func (c *camera) figures(nowNs int64) CameraFigures {
	perSecond := func(times []int64) float64 {
		return float64(len(since(times, nowNs-windowNs))) / (float64(windowNs) / 1e9)
	}
	return CameraFigures{
		Online: c.online, FPSCaptured: perSecond(c.capturedNs), FPSInferred: perSecond(c.inferredNs),
		Captured: c.captured, Inferred: c.inferred, Dropped: c.dropped,
		P50: percentile(c.latencies, 50), P99: percentile(c.latencies, 99),
		Faces: c.told.Confirmed, Occupied: c.told.Occupied,
	}
}

func percentile(latencies []Latency, percent int) Latency {
	of := func(stage func(Latency) float64) float64 {
		if len(latencies) == 0 {
			return 0
		}
		values := make([]float64, len(latencies))
		for i, l := range latencies {
			values[i] = stage(l)
		}
		slices.Sort(values)
		return values[(len(values)-1)*percent/100]
	}
	return Latency{
		Capture: of(func(l Latency) float64 { return l.Capture }), Queue: of(func(l Latency) float64 { return l.Queue }),
		Handoff: of(func(l Latency) float64 { return l.Handoff }), Infer: of(func(l Latency) float64 { return l.Infer }),
		Publish: of(func(l Latency) float64 { return l.Publish }), Total: of(func(l Latency) float64 { return l.Total }),
	}
}
