// SPDX-License-Identifier: Apache-2.0

// Package hub puts the outcomes of all frames back into order, undoes the letterbox, follows faces, and tells the leaves.
package hub

import (
	"time"

	"visavis/capture/internal/event"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/track"
)

// Face is one detection, in pixels of the source picture.
type Face struct {
	Box       geometry.Box
	Score     float32
	Landmarks []geometry.Point // nil when the model has none
	Track     uint64           // rises per camera; 0 = not confirmed
}

// tracked is the face as a tracker wants it.
func (f Face) tracked() track.Box {
	return track.Box{X: f.Box.X, Y: f.Box.Y, W: f.Box.W, H: f.Box.H, Score: f.Score}
}

// Dropped counts frames without detections, by reason.
type Dropped struct{ Superseded, NoSlot, Aborted, Abandoned uint64 }

// Sum is the number of dropped frames.
func (d Dropped) Sum() uint64 { return d.Superseded + d.NoSlot + d.Aborted + d.Abandoned }

// Plus adds by reason.
func (d Dropped) Plus(o Dropped) Dropped {
	return Dropped{d.Superseded + o.Superseded, d.NoSlot + o.NoSlot, d.Aborted + o.Aborted, d.Abandoned + o.Abandoned}
}

// Latency splits the way of one frame, in ms. All times are CLOCK_MONOTONIC; the parts add up to Total.
type Latency struct {
	Capture float64 // captured -> drawn into its slot (ready)
	Queue   float64 // ready -> lent to a worker (dispatch)
	Handoff float64 // dispatch -> inference begins, and inference ends -> result received: both ways over the socket
	Infer   float64 // inference begins -> ends, by the worker's clock reading
	Publish float64 // result received -> handed to the leaves, in order
	Total   float64 // captured -> handed to the leaves
}

// Stage is one of the times of a Latency by its name.
type Stage struct {
	Name string // as metrics and payloads call it
	Ms   float64
}

// Stages are all of them in their order.
func (l Latency) Stages() [6]Stage {
	return [...]Stage{
		{"capture", l.Capture}, {"queue", l.Queue}, {"handoff", l.Handoff}, {"infer", l.Infer}, {"publish", l.Publish}, {"total", l.Total},
	}
}

// fields are the same to be set.
func (l *Latency) fields() [6]*float64 {
	return [...]*float64{&l.Capture, &l.Queue, &l.Handoff, &l.Infer, &l.Publish, &l.Total}
}

// Result is one inferred frame. Leaves share it and must not change it.
type Result struct {
	Camera        string
	Seq           uint64 // the capture sequence number, from 1; goes on when the camera's stream is made anew
	CapturedAt    time.Time
	CapturedNs    int64
	PublishedNs   int64 // when it was handed to the leaves, CLOCK_MONOTONIC
	Width, Height int   // of the source picture
	Model         string
	Faces         []Face
	Unsure        []Face // hidden from viewers like the others, and told to nobody
	Confirmed     int    // tracks
	Occupied      bool
	Latency       Latency
	Dropped       Dropped // since the previous Result: Seq - previous Seq == 1 + Dropped.Sum()
	Picture       *frame.Picture
	Unlooked      bool // nobody has looked for faces in Picture: it has no number, and all of it is hidden where faces are
}

// Leaf listens to results.
type Leaf interface {
	// Take must not block. It calls Retain on r.Picture if it keeps the picture after returning.
	Take(r *Result)
}

// State is what is believed about a camera, or about one zone of it; it changes with frames and also with silence.
type State struct {
	Camera    string
	Zone      string // "" for the whole picture
	Confirmed int
	Occupied  bool
}

// StateTaker is what a Leaf implements beside Take to hear of every change of State.
type StateTaker interface{ TakeState(s State) }

// DetectingTaker is what a Leaf implements beside Take to hear that results of a camera begin and end to come. It hears of the end before
// the states that follow from it, which do not say that nobody is there, and of the beginning after them.
type DetectingTaker interface {
	TakeDetecting(camera string, detecting bool)
}

// EventTaker is what a Leaf implements beside Take to hear of what happens to faces, in order.
type EventTaker interface{ TakeEvent(e event.Event) }

// Illustrator is what a Leaf implements beside Take to add to an event where its picture will be. It is asked before anybody hears of
// the event and of the results that came with it, and must not block either.
type Illustrator interface {
	Illustrate(results []*Result, e *event.Event)
}
