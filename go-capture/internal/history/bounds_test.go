// SPDX-License-Identifier: Apache-2.0

package history

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"visavis/capture/internal/event"
	"visavis/capture/internal/waiting"
	"visavis/capture/internal/zone"
)

func TestOldEventsGoAlsoFromADiskThatIsFull(t *testing.T) {
	t.Parallel()
	folder, a := t.TempDir(), newAuthor()
	old := a.write(zone.Appeared, "door", "")
	end(t, kept(t, Settings{Folder: folder}, []event.Event{old}))
	var now atomic.Pointer[time.Time]
	now.Store(&old.StartedAt.Time)
	h := New(Settings{Folder: folder, MostAge: time.Hour})
	h.wall = func() time.Time { return *now.Load() }
	h.Start()
	t.Cleanup(func() { end(t, h) })
	later := func(by time.Duration) event.Event {
		a.now = a.now.Add(by)
		return a.write(zone.Appeared, "door", "")
	}
	next, newest := later(40*time.Minute), later(40*time.Minute)
	if err := os.Symlink("/dev/full", filepath.Join(folder, next.ID+ending)); err != nil { // the segment after the old one
		t.Fatal(err)
	}
	h.Append(next)
	h.Append(newest)
	waiting.Until(t, "the fault is noticed", func() bool { return strings.Contains(h.Fault(), "no space left on device") })
	past := old.StartedAt.Add(105 * time.Minute)
	now.Store(&past)
	waiting.Until(t, "the old event is gone", func() bool {
		_, err := os.Stat(filepath.Join(folder, old.ID+ending))
		return os.IsNotExist(err)
	})
}

// written puts events into a segment as a process before this one would have.
func written(t *testing.T, folder string, events []event.Event) {
	t.Helper()
	end(t, kept(t, Settings{Folder: folder}, events))
}

func TestWhatAFullDiskLeftInTwoSegmentsIsReadOnce(t *testing.T) {
	folder, elsewhere, events := t.TempDir(), t.TempDir(), newAuthor().many(6)
	written(t, folder, events[:5])
	written(t, elsewhere, events[3:]) // begins with a part of what is written already
	if err := os.Rename(filepath.Join(elsewhere, events[3].ID+ending), filepath.Join(folder, events[3].ID+ending)); err != nil {
		t.Fatal(err)
	}
	h := started(t, Settings{Folder: folder})
	if got := idsOf(read(t, h, Query{Limit: 10})); got != ids(events) {
		t.Errorf("the newest are %s, want %s", got, ids(events))
	}
	if got := all(t, h); got != ids(events) {
		t.Errorf("all are %s, want %s", got, ids(events))
	}
}

func TestAPageTellsHowFarItLooked(t *testing.T) {
	events := newAuthor().many(10)
	h := kept(t, Settings{Folder: t.TempDir()}, events)
	for _, c := range []struct {
		query Query
		seen  int // of the events, by its place
	}{
		{Query{After: "0", Limit: 10, Camera: "attic"}, 9}, {Query{After: "0", Limit: 1, Camera: "door"}, 0}, {Query{After: "0", Limit: 20}, 9},
		{Query{After: events[9].ID, Limit: 1}, 9}, {Query{Limit: 1, Camera: "door"}, 9},
	} {
		if got := read(t, h, c.query).Seen; got != events[c.seen].ID {
			t.Errorf("%+v: %s, want %s", c.query, got, events[c.seen].ID)
		}
	}
}

func TestEventsMadeWhileTheClockWasAheadGoInTimeToo(t *testing.T) {
	t.Parallel()
	folder, a := t.TempDir(), newAuthor()
	var now atomic.Pointer[time.Time]
	pass := func(by time.Duration) {
		later := now.Load().Add(by)
		now.Store(&later)
	}
	begins := time.Now()
	now.Store(&begins)
	a.now = begins.Add(10 * 365 * 24 * time.Hour) // and ids go on from there when the clock is right again
	settings := Settings{Folder: folder, MostAge: time.Hour}
	begin := func() *History {
		h := New(settings)
		h.wall = func() time.Time { return *now.Load() }
		h.Start()
		t.Cleanup(func() { end(t, h) })
		return h
	}
	first := begin()
	events := a.many(3)
	for _, e := range events {
		first.Append(e)
		first.settle(t)
		pass(25 * time.Minute) // in the end the first is too old and the second not, however often the writer looks
	}
	first.wake <- struct{}{}
	waiting.Until(t, "the first one is gone", func() bool { return all(t, first) == ids(events[1:]) })
	end(t, first)
	next := begin()
	last := a.write(zone.Appeared, "door", "")
	next.Append(last)
	next.settle(t)
	pass(30 * time.Minute)
	next.wake <- struct{}{}
	waiting.Until(t, "those of the last process are gone", func() bool { return all(t, next) == last.ID })
}

func TestLinesOfAnyLengthThatAreNoEventsCostNothing(t *testing.T) {
	events, name, content := lone(t)
	var damaged []byte
	for length := range sumDigits + 3 {
		damaged = append(damaged, strings.Repeat("0", length)+"\n"...)
	}
	damaged = append(damaged, strings.Repeat("0", 2*mostLine)+"\n"...)
	more := newAuthor()
	more.now = more.now.Add(time.Hour)
	next := more.many(1)[0]
	if got, want := holds(t, name, append(damaged, content...), next), ids(append(events, next)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
