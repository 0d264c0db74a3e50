// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"sort"
	"strings"

	"visavis/capture/internal/ring"
)

// Fate is how a captured frame ended.
type Fate int

// Every captured frame has exactly one of these in the end.
const (
	Inferred   Fate = iota // a worker answered; Detections may be empty
	Superseded             // a newer frame came before a worker was free
	NoSlot                 // all slots were lent
	Aborted                // reading or drawing failed
	Abandoned              // the worker died, broke the protocol, was too slow, or answered with an error
)

// String is the fate's name in metrics.
func (f Fate) String() string {
	return [...]string{"inferred", "superseded", "no_slot", "aborted", "abandoned"}[f]
}

// Outcome is the end of one captured frame. The receiver releases Frame.Picture, if there is one. Times are CLOCK_MONOTONIC ns and
// 0 where the frame did not get that far; detections are in pixels of plane 0.
type Outcome struct {
	Stream       string
	Seq          uint64
	Fate         Fate
	Frame        Frame
	Worker       uint32
	Model        string
	DispatchNs   int64
	ReceivedNs   int64
	InferBeginNs int64
	InferEndNs   int64
	ResultNs     int64
	Detections   []ring.Detection
}

// Counters of one stream: Captured == Inferred+InFlight+Superseded+NoSlot+Aborted+Abandoned at every instant. The status
// counters are parts of Abandoned; LentAgain counts frames that got a second worker, whatever came of them.
type Counters struct {
	Captured, Inferred, InFlight, Superseded, NoSlot, Aborted, Abandoned uint64
	StatusStale, StatusFailed, StatusBadInput, StatusUnknown             uint64
	LentAgain                                                            uint64
}

// account is what one camera's name adds up, over all its formats.
type account struct {
	Counters
	seq uint64
}

// countStatus counts a RESULT whose status is not 0.
func (a *account) countStatus(status uint32) {
	a.Abandoned++
	switch status {
	case ring.StatusStale:
		a.StatusStale++
	case ring.StatusFailed:
		a.StatusFailed++
	case ring.StatusBadInput:
		a.StatusBadInput++
	default:
		a.StatusUnknown++
	}
}

// WorkerState is one connected worker. State is "idle", "busy" or "paused", Precision "fp32", "fp16", "int8" or "" when not known.
type WorkerState struct {
	ID                          uint32
	Name, State, Backend, Model string
	Precision                   string
	Fallback                    bool // on the CPU, because the GPU failed
	Frames                      uint64
	ServiceMs, Batch            float64
	Outstanding, Credit         int
	ViewsLeaked                 uint64
	Server                      *ServerState // nil for a worker that has no model server
}

// ServerState is how the model server of a worker did since the worker started.
type ServerState struct{ Losses, LocalFrames uint64 }

// StreamState is one camera; a retired one keeps its figures.
type StreamState struct {
	Name               string
	Rings, Slots, Free int
	Counters           Counters
}

// Snapshot holds figures of one instant.
type Snapshot struct {
	Workers  []WorkerState // those that look at every camera
	Visitors []WorkerState // those that borrow a frame now and then
	Streams  []StreamState
	Unnamed  int     // connections that have not said HELLO yet, or wait for memory for one more worker
	Share    float64 // of their time in which workers may work
}

// Snapshot takes all figures in one hold of the mutex.
func (d *Dispatcher) Snapshot() Snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	shot := Snapshot{Workers: []WorkerState{}, Streams: []StreamState{}, Unnamed: d.unnamed, Share: 1 / (1 + d.rest)}
	for _, w := range d.workers {
		list := &shot.Workers
		if w.visits() {
			list = &shot.Visitors
		}
		*list = append(*list, w.snapshot())
	}
	for name, a := range d.accounts {
		shot.Streams = append(shot.Streams, d.streamState(name, a))
	}
	sort.Slice(shot.Streams, func(i, j int) bool { return shot.Streams[i].Name < shot.Streams[j].Name })
	return shot
}

func (d *Dispatcher) streamState(name string, a *account) StreamState {
	state := StreamState{Name: name, Counters: a.Counters}
	for _, s := range d.streams {
		if s.spec.Name != name {
			continue
		}
		state.Rings++
		state.Slots += len(s.slots)
		for _, slot := range s.slots {
			if slot.state == free {
				state.Free++
			}
		}
	}
	return state
}

// splitModel takes apart what workers say of their model: NAME@BACKEND, or NAME alone. A file's name may have an @ of its own.
func splitModel(said string) (name, backend string) {
	at := strings.LastIndex(said, "@")
	if at < 0 {
		return said, ""
	}
	return said[:at], said[at+1:]
}

// ModelName is the model without the backend.
func (o Outcome) ModelName() string {
	name, _ := splitModel(o.Model)
	return name
}

func (w *worker) snapshot() WorkerState {
	state := "idle"
	if len(w.leases) > 0 {
		state = "busy"
	} else if w.credit == 0 {
		state = "paused"
	}
	model, backend := splitModel(w.model)
	return WorkerState{
		ID: w.id, Name: w.name, State: state, Backend: backend, Model: model, Precision: precision(w.flags),
		Fallback: w.flags&ring.HelloFlagFallback != 0, Frames: w.frames, ServiceMs: w.serviceNs / 1e6, Batch: w.batch,
		Outstanding: len(w.leases), Credit: w.credit, ViewsLeaked: w.viewsLeaked,
		Server: w.server,
	}
}

// precision is the number format that HELLO names; a worker that names several is not believed.
func precision(flags uint16) string {
	switch flags & (ring.HelloFlagFP32 | ring.HelloFlagFP16 | ring.HelloFlagInt8) {
	case ring.HelloFlagFP32:
		return "fp32"
	case ring.HelloFlagFP16:
		return "fp16"
	case ring.HelloFlagInt8:
		return "int8"
	}
	return ""
}
