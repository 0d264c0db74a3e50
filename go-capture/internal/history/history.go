// SPDX-License-Identifier: Apache-2.0

// Package history keeps recent events for whoever asks later: on disk, bounded by bytes and age, over kill -9 and damage. It
// promises less than the outbox: an event that finds neither disk nor memory is forgotten here, and the broker gets it all the same.
//
// The way of an event:
//
//  1. Append puts it in memory and returns                   history.go
//  2. the writer adds it to a segment, soon syncs that       writer.go, segment.go, line.go
//  3. the writer removes what is too old or too much         writer.go
//  4. Read finds it, in memory or on disk                    read.go
//
// After a crash Unfinished tells which visits never ended: unfinished.go.
package history

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"visavis/capture/internal/event"
	"visavis/capture/internal/state"
)

// Settings of a history. Zero values other than Folder mean the default.
type Settings struct {
	Folder    string        // made if it is not there, for one history alone; "" keeps events in memory only
	MostBytes int64         // on disk; 16 MiB, about 40,000 events
	MostAge   time.Duration // by the clock on the wall, in memory too; 30 days
}

const (
	recentEvents = 256  // newest events in memory, so that those who follow live read no disk
	memoryEvents = 4096 // events in memory while the disk cannot be used
	readersMost  = 2    // of the disk at once; others wait
)

func (s Settings) filled() Settings {
	if s.MostBytes <= 0 {
		s.MostBytes = 16 << 20
	}
	if s.MostAge <= 0 {
		s.MostAge = 30 * 24 * time.Hour
	}
	return s
}

// segmentBytes is the size at which a segment is full: removing one must not cost much of what is kept.
func (s Settings) segmentBytes() int64 { return min(max(s.MostBytes/16, 16<<10), 1<<20) }

// mostSpan is the time that a segment spans, at most, for the same reason.
func (s Settings) mostSpan() time.Duration { return s.MostAge / 8 }

// History is the recent past of one device. All methods but Start and Close may be called from any goroutine.
type History struct {
	settings Settings
	wall     func() time.Time
	wake     chan struct{} // for the writer
	closing  chan struct{}
	ended    chan struct{}
	readers  chan struct{}
	disk     disk // the writer's
	fault    *state.Fault

	mu        sync.Mutex
	recent    []Entry // the newest events; ids rise
	unwritten int     // of recent, from here on: not on disk yet
	segments  []segment
	listed    bool          // segments are what the disk holds
	last      string        // id of the newest event that was ever kept; "" if there was none
	changed   chan struct{} // closed at the next Append
	forgotten uint64
}

// New makes a history that is in memory until Start.
func New(s Settings) *History {
	return &History{
		fault:    state.NewFault(slog.String("folder", s.Folder), "history cannot use its disk, recent events stay in memory", "history writes again"),
		settings: s.filled(), wall: time.Now, wake: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{}),
		readers: make(chan struct{}, readersMost), changed: make(chan struct{}),
	}
}

// Start reads the folder and begins to write. A disk that cannot be used now is no error: it is tried again, and events stay in memory.
func (h *History) Start() {
	h.round(false)
	go h.run()
}

// Append takes an event whose id is higher than all before. It never waits for the disk.
func (h *History) Append(e event.Event) {
	written, err := json.Marshal(e)
	if err != nil {
		slog.Error("event not kept in the history", "camera", e.Camera, "error", err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.recent = append(h.recent, Entry{e.ID, written})
	h.last = max(h.last, e.ID)
	h.forget()
	close(h.changed)
	h.changed = make(chan struct{})
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// forget lets go of what is on disk, and of the oldest events if memory is all there is and it is full.
func (h *History) forget() {
	for len(h.recent) > recentEvents && (h.unwritten > 0 || len(h.recent) > memoryEvents) {
		if h.unwritten > 0 {
			h.unwritten--
		} else {
			h.forgotten++
		}
		h.recent[0] = Entry{}
		h.recent = h.recent[1:]
	}
}

// Last is the id of the newest event, of earlier processes too; "" if there is none.
func (h *History) Last() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// Oldest is an id below which no event is kept; not known until the disk could be read.
func (h *History) Oldest() (id string, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.settings.Folder != "" && !h.listed:
		return "", false
	case len(h.segments) > 0:
		return h.segments[0].first, true
	case len(h.recent) > 0:
		return h.recent[0].ID, true
	case h.last != "":
		return h.last + "~", true // above it, and below all that follow
	}
	return "", true
}

// Changed is closed when the next event comes.
func (h *History) Changed() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed
}

// Forgotten counts events that had to leave memory before the disk took them, since New.
func (h *History) Forgotten() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.forgotten
}

// Fault says why the disk cannot be used now; "" when all is well.
func (h *History) Fault() string { return h.fault.Now() }

// Close writes what it can and ends the writer. When ctx ends first, the disk hangs and the writer is left to it.
func (h *History) Close(ctx context.Context) error {
	close(h.closing)
	select {
	case <-h.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the history in %s: %w", h.settings.Folder, ctx.Err())
	}
}
