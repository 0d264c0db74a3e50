// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"slices"
	"time"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/event"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/track"
	"visavis/capture/internal/zone"
)

const (
	windowNs       = int64(5 * time.Second) // of the frame rates
	latencyResults = 256                    // newest results that the percentiles look at
)

// HidesMost is what Watch.Hides is at most: who demands much of a face that is told does not want the others seen.
const HidesMost = 0.5

// CameraFigures is what is measured of one camera.
type CameraFigures struct {
	FPSCaptured, FPSInferred float64 // of the stream's frames that ended within the last 5 s
	P50, P99                 Latency // ms, each stage by itself, over the last 256 results
	Faces                    int
	Occupied                 bool
	Zones                    []ZoneFigures // as the settings list them
	Lines                    []LineFigures
}

// Watch is what is watched at one camera, and how.
type Watch struct {
	Score   float64 // the least of a face that is told
	Begins  float32 // the least of one that begins a track, where Score is not more
	Hides   float32 // the least of one that is hidden from viewers, told or not; no order changes it
	Tracker track.Settings
	Places  zone.Settings
}

// DefaultWatch is that of contracts/config.toml.
func DefaultWatch() Watch {
	return Watch{Score: 0.5, Begins: 0.5, Hides: HidesMost, Tracker: track.Defaults(), Places: zone.Defaults()}
}

// camera is everything the hub knows of one stream.
type camera struct {
	id        string
	beganNs   int64 // frames captured earlier belong to a stream that was retired
	sequencer *sequencer
	follower  *follower
	veil      *veil
	score     float64          // the least of a face that is told
	begins    float32          // the least of a face that begins a track, where score is not more
	told      map[string]State // by zone
	looks     bool             // whether the follower does, as far as was told

	capturedNs, inferredNs []int64 // arrival times within the window
	latencies              []Latency
}

// told is what the leaves are to hear.
type told struct {
	results      []*Result
	ended, begun string // the camera whose results do so, "" if none
	events       []event.Event
	states       []State
}

func newCamera(id string, r *event.Recorder) *camera {
	c := &camera{id: id, sequencer: newSequencer(), follower: &follower{recorder: r}, told: map[string]State{"": {Camera: id}}}
	c.watch(DefaultWatch())
	return c
}

// successor is the same camera with a new stream: the numbers of frames and faces go on, the figures begin anew.
func (c *camera) successor(beganNs int64) *camera {
	next := &camera{id: c.id, beganNs: beganNs, sequencer: c.sequencer, follower: c.follower, told: map[string]State{"": {Camera: c.id}}}
	next.watch(DefaultWatch())
	return next
}

// watch begins anew with other settings, in which every zone is told of, so that nothing older stands retained. Who was
// there before has left.
func (c *camera) watch(w Watch) {
	c.follower.begin(w)
	c.veil = newVeil(w)
	c.score, c.begins = w.Score, w.Begins
	c.told = map[string]State{"": c.told[""]}
}

// rescore tells other faces from now on.
func (c *camera) rescore(least float64) {
	c.score = least
	c.follower.tracker.Require(max(c.begins, float32(least)))
}

// arrived takes an outcome that came in at atNs and returns the results whose turn has come.
func (c *camera) arrived(a *arrival, atNs int64) (said told) {
	ready := func(first *arrival, dropped Dropped) {
		if c.stale(first) {
			first.release()
			c.sequencer.dropped = dropped.Plus(Dropped{Superseded: 1})
			return
		}
		said.results = append(said.results, c.result(first, dropped))
	}
	if !c.sequencer.push(a, ready) {
		return told{}
	}
	if !c.stale(a) {
		c.count(a.fate, atNs)
	}
	now := c.said()
	now.results = said.results
	return now
}

// said is what there is to tell of the time up to now.
func (c *camera) said() told {
	said := told{events: c.follower.takeEvents(), states: c.changed()}
	looks := c.follower.looks()
	switch {
	case c.looks && !looks:
		said.ended = c.id
	case !c.looks && looks:
		said.begun = c.id
	}
	c.looks = looks
	return said
}

// stale tells whether a frame is of a stream that was retired. One without a time never got beyond its capturer, and that of the
// stream before has ended.
func (c *camera) stale(a *arrival) bool { return a.capturedNs != 0 && a.capturedNs < c.beganNs }

func (c *camera) count(end dispatch.Fate, atNs int64) {
	c.capturedNs = append(since(c.capturedNs, atNs-windowNs), atNs)
	if end == dispatch.Inferred {
		c.inferredNs = append(since(c.inferredNs, atNs-windowNs), atNs)
	}
}

// silence lets time pass, unless there is none: results that wait for an earlier frame tell who is there once their turn comes.
func (c *camera) silence(nowNs int64, awaited time.Duration) told {
	if c.sequencer.holdsResults() {
		return told{}
	}
	c.follower.silence(nowNs, awaited)
	return c.said()
}

// emptied takes leave of everybody who is there; no delay keeps a place occupied that nobody looks at any more.
func (c *camera) emptied() (said told) {
	c.follower.leave()
	said = c.said()
	said.states = nil
	for _, s := range c.follower.states() {
		said.states = append(said.states, State{Camera: c.id, Zone: s.Zone})
		c.told[s.Zone] = State{Camera: c.id, Zone: s.Zone}
	}
	return said
}

// changed are the states that the leaves do not know yet.
func (c *camera) changed() []State {
	var changed []State
	for _, s := range c.follower.states() {
		now := State{Camera: c.id, Zone: s.Zone, Confirmed: s.Faces, Occupied: s.Occupied}
		if before, known := c.told[s.Zone]; !known || before != now {
			c.told[s.Zone] = now
			changed = append(changed, now)
		}
	}
	return changed
}

func (c *camera) result(a *arrival, dropped Dropped) *Result {
	faces := FacesOf(a.detections, a.letterbox)
	c.follower.frame(faces, a.letterbox.SourceWidth, a.letterbox.SourceHeight, a.capturedNs, frame.MonotonicNs())
	whole := c.follower.states()[0]
	r := &Result{
		Camera: c.id, Seq: a.seq, CapturedNs: a.capturedNs, Model: a.model,
		Faces: AtLeast(c.score, faces), Unsure: c.veil.over(faces, c.score, a),
		CapturedAt: time.Now().Add(-time.Duration(frame.MonotonicNs() - a.capturedNs)),
		Width:      a.letterbox.SourceWidth, Height: a.letterbox.SourceHeight,
		Confirmed: whole.Faces, Occupied: whole.Occupied,
		Latency: stages(a), Dropped: dropped, Picture: a.picture,
	}
	r.stampPublished(frame.MonotonicNs())
	if len(c.latencies) == latencyResults {
		c.latencies = slices.Delete(c.latencies, 0, 1)
	}
	c.latencies = append(c.latencies, r.Latency)
	return r
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
	median, high := spread(c.latencies)
	return CameraFigures{
		FPSCaptured: perSecond(c.capturedNs), FPSInferred: perSecond(c.inferredNs),
		P50: median, P99: high,
		Faces: c.told[""].Confirmed, Occupied: c.told[""].Occupied,
		Zones: c.follower.zones(), Lines: c.follower.lines(),
	}
}

// spread is the median and the 99th percentile, of each stage by itself.
func spread(latencies []Latency) (median, high Latency) {
	values := make([]float64, len(latencies))
	for stage, at := range median.fields() {
		for i := range latencies {
			values[i] = *latencies[i].fields()[stage]
		}
		slices.Sort(values)
		*at, *high.fields()[stage] = percentile(values, 50), percentile(values, 99)
	}
	return median, high
}

// percentile of values in their order; 0 of none.
func percentile(values []float64, percent int) float64 {
	if len(values) == 0 {
		return 0
	}
	return values[(len(values)-1)*percent/100]
}
