// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/waiting"
)

func TestADiskThatCannotBeUsedIsTriedAgainAndMemoryAnswersMeanwhile(t *testing.T) {
	t.Parallel()
	blocked := filepath.Join(t.TempDir(), "blocked")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := started(t, Settings{Folder: filepath.Join(blocked, "history")})
	events := newAuthor().many(memoryEvents + 10)
	for _, e := range events {
		h.Append(e)
	}
	waiting.Until(t, "the fault is noticed", func() bool { return strings.Contains(h.Fault(), "not a directory") })
	if got := all(t, h); got != ids(events[10:]) || h.Forgotten() != 10 {
		t.Fatalf("%d events in memory and %d forgotten, want %d and 10", len(strings.Fields(got)), h.Forgotten(), memoryEvents)
	}
	if err := os.Remove(blocked); err != nil {
		t.Fatal(err)
	}
	h.settle(t)
	end(t, h)
	if got := all(t, started(t, Settings{Folder: h.settings.Folder})); got != ids(events[10:]) {
		t.Errorf("%d events on disk, want %d", len(strings.Fields(got)), memoryEvents)
	}
}

func TestAFullDiskKeepsEventsInMemoryUntilThereIsSpace(t *testing.T) {
	t.Parallel()
	folder, events := t.TempDir(), newAuthor().many(100)
	full := filepath.Join(folder, events[0].ID+ending)
	if err := os.Symlink("/dev/full", full); err != nil { // the kernel's own "no space left on device"
		t.Fatal(err)
	}
	h := started(t, Settings{Folder: folder})
	for _, e := range events {
		h.Append(e)
	}
	waiting.Until(t, "the fault is noticed", func() bool { return strings.Contains(h.Fault(), "no space left on device") })
	if got := all(t, h); got != ids(events) {
		t.Errorf("%d events, want 100", len(strings.Fields(got)))
	}
	if err := os.Remove(full); err != nil {
		t.Fatal(err)
	}
	h.settle(t)
	end(t, h)
	if got := all(t, started(t, Settings{Folder: folder})); got != ids(events) {
		t.Errorf("%d events on disk, want 100", len(strings.Fields(got)))
	}
}

func TestAFullDiskIsNotAskedWithoutAPauseOnceWhatWaitedIsTooOld(t *testing.T) {
	t.Parallel()
	folder, a := t.TempDir(), newAuthor()
	h := New(Settings{Folder: folder})
	event := a.many(1)[0]
	if err := os.Symlink("/dev/full", filepath.Join(folder, event.ID+ending)); err != nil {
		t.Fatal(err)
	}
	h.Append(event)
	if err := h.round(false); err == nil {
		t.Fatal("the disk is not full")
	}
	h.wall = func() time.Time { return time.Now().Add(2 * h.settings.MostAge) }
	time.Sleep(syncAfter)
	if err := h.round(false); err != nil || h.rest(err) != lookEvery {
		t.Errorf("%v, then it rests for %v", err, h.rest(err))
	}
	h.letGo()
}

func TestADiskThatCannotBeReadIsNoEmptyHistory(t *testing.T) {
	t.Parallel()
	folder, events := t.TempDir(), newAuthor().many(2*recentEvents)
	h := kept(t, Settings{Folder: folder}, events)
	segment := filepath.Join(folder, events[0].ID+ending)
	if err := errors.Join(os.Remove(segment), os.Mkdir(segment, 0o700)); err != nil {
		t.Fatal(err)
	}
	for _, q := range []Query{{Limit: len(events)}, {After: "0", Limit: len(events)}} {
		if page, err := h.Read(context.Background(), q); err == nil {
			t.Errorf("%+v: %d events", q, len(page.Entries))
		}
	}
}

func TestASegmentThatSomebodyRemovedHidesNothingElse(t *testing.T) {
	t.Parallel()
	folder, events := t.TempDir(), newAuthor().many(2*recentEvents)
	h := kept(t, Settings{Folder: folder}, events)
	if err := os.Remove(filepath.Join(folder, events[0].ID+ending)); err != nil {
		t.Fatal(err)
	}
	if got, want := idsOf(read(t, h, Query{Limit: len(events)})), ids(events[recentEvents:]); got != want {
		t.Errorf("%d events, want %d", len(strings.Fields(got)), recentEvents)
	}
}

func TestOnlyThoseWhoNeedTheDiskWaitForOthersWhoReadIt(t *testing.T) {
	t.Parallel()
	events := newAuthor().many(2 * recentEvents)
	h := kept(t, Settings{Folder: t.TempDir()}, events)
	for range readersMost {
		h.readers <- struct{}{} // others
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		query Query
		waits bool
	}{
		{Query{Limit: 3}, false}, {Query{Limit: recentEvents + 1}, true},
		{Query{After: events[len(events)-3].ID, Limit: 3}, false}, {Query{After: "0", Limit: 3}, true},
	} {
		if _, err := h.Read(ctx, c.query); errors.Is(err, context.Canceled) != c.waits {
			t.Errorf("%+v: %v", c.query, err)
		}
	}
}

func TestAPartThatTheDiskHasLostHidesNothingElse(t *testing.T) {
	t.Parallel()
	folder, a := t.TempDir(), newAuthor()
	first := a.many(20)
	h := kept(t, Settings{Folder: folder}, first)
	lost := segment{first: a.many(1)[0].ID}
	if err := os.Symlink("/proc/self/mem", filepath.Join(folder, lost.name())); err != nil { // the kernel's own "input/output error"
		t.Fatal(err)
	}
	if last, err := h.newestIn(&lost); err != nil || last != lost.first {
		t.Fatalf("%q, %v", last, err)
	}
	h.mu.Lock()
	h.segments = append(h.segments, lost)
	h.mu.Unlock()
	more := a.many(20)
	for _, e := range more {
		h.Append(e)
	}
	h.settle(t)
	if got, want := all(t, h), strings.TrimSpace(ids(first)+" "+ids(more)); got != want {
		t.Errorf("%d events, want 40", len(strings.Fields(got)))
	}
	if _, err := h.Unfinished(); err != nil {
		t.Error(err)
	}
	if len(h.segments) != 3 {
		t.Errorf("%d segments: what came behind the lost part is in the same", len(h.segments))
	}
}

func TestEventsAreKeptAfterSomebodyRemovedTheFolderOrAFile(t *testing.T) {
	for what, parts := range map[string][]string{"the folder": nil, "the segment": {"*" + ending}} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			folder, a := filepath.Join(t.TempDir(), "porch"), newAuthor()
			h := kept(t, Settings{Folder: folder}, a.many(3))
			removed, err := filepath.Glob(filepath.Join(append([]string{folder}, parts...)...))
			if err != nil || len(removed) != 1 {
				t.Fatal(removed, err)
			}
			if err := os.RemoveAll(removed[0]); err != nil {
				t.Fatal(err)
			}
			events := a.many(200) // memory still holds the first when all are there: a round that had begun may have written it into what was removed
			for _, e := range events {
				h.Append(e)
			}
			end(t, h)
			if got := all(t, started(t, Settings{Folder: folder})); !strings.HasSuffix(got, ids(events)) {
				t.Errorf("%d events are left, want the last 200", len(strings.Fields(got)))
			}
		})
	}
}

func TestASecondProgramKeepsItsEventsInMemoryUntilTheFirstEnds(t *testing.T) {
	t.Parallel()
	folder, a := t.TempDir(), newAuthor()
	first := kept(t, Settings{Folder: folder}, a.many(3))
	second := started(t, Settings{Folder: folder})
	events := a.many(2)
	for _, e := range events {
		second.Append(e)
	}
	waiting.Until(t, "the fault is noticed", func() bool { return strings.Contains(second.Fault(), "another program") })
	if got := all(t, second); got != ids(events) {
		t.Errorf("%s, want %s", got, ids(events))
	}
	end(t, first)
	second.settle(t)
	if got := all(t, second); len(strings.Fields(got)) != 5 {
		t.Errorf("%s, want five events", got)
	}
}

// Opening a pipe for writing hangs until somebody reads from it, as a disk that died may do.
func TestADiskThatHangsHoldsUpNeitherEventsNorReadersNorTheEnd(t *testing.T) {
	folder, events := t.TempDir(), newAuthor().many(100)
	pipe := filepath.Join(folder, events[0].ID+ending)
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	h := New(Settings{Folder: folder})
	h.Start()
	for _, e := range events {
		h.Append(e)
	}
	if got := all(t, h); got != ids(events) {
		t.Errorf("%d events, want 100", len(strings.Fields(got)))
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := h.Close(ctx); err == nil {
		t.Error("the end of a writer that hangs was not told")
	}
	reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	<-h.ended
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
}
