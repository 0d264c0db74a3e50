// SPDX-License-Identifier: Apache-2.0

package history

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"visavis/capture/internal/event"
	"visavis/capture/internal/waiting"
	"visavis/capture/internal/zone"
)

// The name of one camera begins with that of another.
func TestACameraIsNoOtherWhoseNameBeginsLikeIt(t *testing.T) {
	a := newAuthor()
	events := []event.Event{a.write(zone.Appeared, "door", ""), a.write(zone.Appeared, "doorbell", ""), a.write(zone.Appeared, "frontdoor", "")}
	h := kept(t, Settings{Folder: t.TempDir()}, events)
	for name, q := range map[string]Query{
		"asked for": {Camera: "door", Limit: 9}, "allowed": {Among: []string{"door"}, Limit: 9}, "allowed, from the beginning": {After: "0", Among: []string{"attic", "door"}, Limit: 9},
	} {
		if got := idsOf(read(t, h, q)); got != events[0].ID {
			t.Errorf("%s: %s, want %s", name, got, events[0].ID)
		}
	}
	for _, none := range [][]string{{}, {""}} {
		if got := idsOf(read(t, h, Query{Among: none, Limit: 9})); got != "" {
			t.Errorf("who may see no camera, %q, sees %s", none, got)
		}
	}
}

// As after a start without a network: ids and file are of ten years ahead, and the clock is set right only then.
func TestEventsOfAClockThatWasAheadAgeFromWhenTheyWereWritten(t *testing.T) {
	folder, a := t.TempDir(), newAuthor()
	ahead := a.now.Add(10 * 365 * 24 * time.Hour)
	a.now = ahead
	first := a.write(zone.Appeared, "door", "")
	written(t, folder, []event.Event{first})
	if err := os.Chtimes(filepath.Join(folder, first.ID+ending), ahead, ahead); err != nil {
		t.Fatal(err)
	}
	var now atomic.Pointer[time.Time]
	pass := func(to time.Time) { now.Store(&to) }
	pass(time.Now())
	h := New(Settings{Folder: folder, MostAge: time.Hour})
	h.wall = func() time.Time { return *now.Load() }
	h.Start() // from now on it ages
	defer end(t, h)
	pass(time.Now().Add(2 * time.Hour))
	h.wake <- struct{}{}
	waiting.Until(t, "it is gone", func() bool { return all(t, h) == "" })
}

// The clock was set right before the restart, so that the file's time can be trusted.
func TestEventsOfAClockThatWasAheadStayOverARestart(t *testing.T) {
	folder, a := t.TempDir(), newAuthor()
	a.now = a.now.Add(10 * 365 * 24 * time.Hour)
	first := a.write(zone.Appeared, "door", "")
	written(t, folder, []event.Event{first})
	h := started(t, Settings{Folder: folder})
	if got := all(t, h); got != first.ID {
		t.Errorf("%q, want %q", got, first.ID)
	}
}
