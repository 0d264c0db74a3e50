// SPDX-License-Identifier: Apache-2.0

// Package engine knows how far the build of a TensorRT engine is, and why TensorRT cannot be used.
//
// Both are read from a note that the builder leaves in a file: docs/reference/note.md. The builder runs models of third parties, so
// the note is hostile until it is checked: it may be huge, a pipe, a link elsewhere, or hold anything.
package engine

import (
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"visavis/capture/internal/clock"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/state"
)

// Values of State.State.
const (
	Building = "building"
	Failed   = "failed"
)

// State is what is told of the note.
type State struct {
	State     string    `json:"state"`
	Model     string    `json:"model"`
	Precision string    `json:"precision"` // "" when not known
	Percent   int       `json:"percent"`
	Phase     string    `json:"phase"`
	Since     time.Time `json:"since"`
	Error     string    `json:"error,omitempty"` // why it failed, with the remedy
}

// Watch reads one note whenever it is asked. Its methods may be called from any goroutine.
type Watch struct {
	path string
	now  func() time.Time

	fault   *state.Fault
	mu      sync.Mutex
	beganNs int64     // of the build whose beginning is known
	began   time.Time // its time of day
}

// NewWatch looks beside the workers' socket; nothing need be there.
func NewWatch(socket string) *Watch {
	path := filepath.Join(filepath.Dir(socket), File)
	fault := state.NewFault(slog.String("file", path), "the note about the engine is not used", "the note about the engine is used again")
	return &Watch{path: path, now: time.Now, fault: fault}
}

// State is nil while nothing is built and nothing failed, and when the note cannot be believed.
func (w *Watch) State() *State {
	found, err := read(w.path)
	w.fault.Note(err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || found == nil || found.stale(frame.MonotonicNs()) {
		return nil
	}
	return &State{
		State: found.State, Model: found.Model, Precision: found.Precision, Percent: int(found.Percent), Phase: found.Phase,
		Since: w.since(found.BeganNs), Error: found.Error,
	}
}

// since is the time of day of a beginning: the same at each reading, unless the clock was set.
func (w *Watch) since(beganNs int64) time.Time {
	began := w.now().Add(time.Duration(beganNs - frame.MonotonicNs())).UTC().Truncate(time.Millisecond)
	if w.beganNs != beganNs || began.Sub(w.began).Abs() > clock.Step {
		w.beganNs, w.began = beganNs, began
	}
	return w.began
}

// stale tells whether who wrote it has ended without a word, or lived before the last start of this machine.
func (n *note) stale(nowNs int64) bool {
	if n.BeganNs > nowNs || n.ToldNs > nowNs {
		return true
	}
	return n.State == Building && nowNs-n.ToldNs > staleMs*int64(time.Millisecond)
}
