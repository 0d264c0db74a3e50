// SPDX-License-Identifier: Apache-2.0

package history

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"visavis/capture/internal/event"
	"visavis/capture/internal/waiting"
	"visavis/capture/internal/zone"
)

func TestMain(m *testing.M) { waiting.ForGoroutines(m) }

// author writes events whose ids rise with a clock that only the test moves. It begins an hour or two ago: the usual cap on age keeps all.
type author struct {
	ids *event.IDs
	now time.Time
}

func newAuthor() *author {
	return &author{ids: event.NewIDs(), now: time.Now().UTC().Truncate(time.Second).Add(-2 * time.Hour)}
}

func (a *author) write(kind zone.Kind, camera, visit string) event.Event {
	a.now = a.now.Add(time.Second)
	return event.Event{
		Schema: 1, Type: kind, ID: a.ids.Next(a.now), Visit: visit, Camera: camera, Track: 1, StartedAt: event.Time{Time: a.now},
		Best: event.Best{Box: [4]float64{1, 2, 3, 4}, Score: 0.9},
	}
}

// many are n events of the cameras door and gate in turn; of each camera they appear and are gone in turn.
func (a *author) many(n int) []event.Event {
	events := make([]event.Event, n)
	for i := range events {
		events[i] = a.write([]zone.Kind{zone.Appeared, zone.Gone}[i/2%2], []string{"door", "gate"}[i%2], "")
	}
	return events
}

// started is a history in a folder that ends with the test.
func started(t *testing.T, s Settings) *History {
	t.Helper()
	h := New(s)
	h.Start()
	t.Cleanup(func() { end(t, h) })
	return h
}

func end(t *testing.T, h *History) {
	t.Helper()
	select {
	case <-h.closing:
		return // it was ended before
	default:
	}
	if err := h.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// kept is a history that holds events and has them all on disk.
func kept(t *testing.T, s Settings, events []event.Event) *History {
	t.Helper()
	h := started(t, s)
	for _, e := range events {
		h.Append(e)
	}
	h.settle(t)
	return h
}

// settle waits until nothing is in memory only.
func (h *History) settle(t *testing.T) {
	t.Helper()
	waiting.Until(t, "all is written", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.unwritten == len(h.recent)
	})
}

func ids(events []event.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, e.ID)
	}
	return strings.Join(all, " ")
}

func idsOf(p Page) string {
	var all []string
	for _, e := range p.Entries {
		all = append(all, e.ID)
	}
	return strings.Join(all, " ")
}

func read(t *testing.T, h *History, q Query) Page {
	t.Helper()
	page, err := h.Read(context.Background(), q)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// all reads everything in small pages.
func all(t *testing.T, h *History) string {
	t.Helper()
	var found []string
	for q := (Query{After: "0", Limit: 97}); ; {
		page := read(t, h, q)
		for _, e := range page.Entries {
			found = append(found, e.ID)
			q.After = e.ID
		}
		if !page.More {
			return strings.Join(found, " ")
		}
	}
}

func TestWhatWasAppendedIsReadInPagesAndByWhatIsAskedFor(t *testing.T) {
	events := newAuthor().many(1000)
	h := kept(t, Settings{Folder: t.TempDir(), MostBytes: 1 << 20}, events)
	if got := all(t, h); got != ids(events) {
		t.Errorf("read %s\nwant %s", got, ids(events))
	}
	var gone []event.Event
	for _, e := range events {
		if e.Camera == "gate" && e.Type == zone.Gone {
			gone = append(gone, e)
		}
	}
	for name, c := range map[string]struct {
		query Query
		want  []event.Event
		more  bool
	}{
		"newest":                    {Query{Limit: 3}, events[997:], false},
		"newest, from disk too":     {Query{Limit: 900}, events[100:], false},
		"after one":                 {Query{After: events[10].ID, Limit: 5}, events[11:16], true},
		"the last ones":             {Query{After: events[994].ID, Limit: 5}, events[995:], false},
		"up to where memory begins": {Query{After: events[994-recentEvents].ID, Limit: 5}, events[995-recentEvents : 1000-recentEvents], true},
		"after the last":            {Query{After: events[999].ID, Limit: 5}, nil, false},
		"a camera and a type":       {Query{After: "0", Limit: 1000, Camera: "gate", Type: "gone"}, gone, false},
		"the newest of those":       {Query{Limit: 200, Camera: "gate", Type: "gone"}, gone[50:], false},
		"of no such camera":         {Query{Limit: 5, Camera: "attic"}, nil, false},
	} {
		if page := read(t, h, c.query); idsOf(page) != ids(c.want) || page.More != c.more {
			t.Errorf("%s: %d events %s, more %v; want %s, %v", name, len(page.Entries), idsOf(page), page.More, ids(c.want), c.more)
		}
	}
}

func TestTheJSONIsThatOfTheBroker(t *testing.T) {
	events := newAuthor().many(3 * recentEvents) // from disk and memory
	h := kept(t, Settings{Folder: t.TempDir()}, events)
	for _, q := range []Query{{Limit: len(events)}, {After: "0", Limit: len(events)}} {
		for i, e := range read(t, h, q).Entries {
			if want, err := json.Marshal(events[i]); err != nil || string(e.JSON) != string(want) {
				t.Fatalf("%+v: %s, want %s, %v", q, e.JSON, want, err)
			}
		}
	}
}

func TestTheNextProcessGoesOnWhereTheLastOneEnded(t *testing.T) {
	folder, a := t.TempDir(), newAuthor()
	before := a.many(500)
	end(t, kept(t, Settings{Folder: folder}, before))
	h := started(t, Settings{Folder: folder})
	if h.Last() != before[499].ID {
		t.Errorf("the last id is %q, want %q", h.Last(), before[499].ID)
	}
	after := a.many(500)
	for _, e := range after {
		h.Append(e)
	}
	h.settle(t)
	if got := all(t, h); got != ids(append(before, after...)) {
		t.Errorf("%d ids, want 1000", len(strings.Fields(got)))
	}
}

// lone is a folder with one segment, of a few events.
func lone(t *testing.T) (events []event.Event, name string, content []byte) {
	t.Helper()
	folder := t.TempDir()
	events = newAuthor().many(4)
	end(t, kept(t, Settings{Folder: folder}, events))
	name = events[0].ID + ending
	content, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return events, name, content
}

// holds starts a history in a folder with one file and returns what it has, after one more event.
func holds(t *testing.T, name string, content []byte, more event.Event) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
	h := kept(t, Settings{Folder: folder}, []event.Event{more})
	end(t, h)
	next := started(t, Settings{Folder: folder})
	defer end(t, next)
	return all(t, next)
}

// A line that only lacks its newline is whole: the next process writes that.
func TestALogThatIsCutOffAnywhereKeepsEachWholeLineAndGoesOn(t *testing.T) {
	t.Parallel()
	events, name, content := lone(t)
	more := newAuthor()
	more.now = more.now.Add(time.Hour)
	next := more.many(1)[0]
	for cut := range len(content) + 1 {
		if cut%97 != 0 && content[cut-1] != '\n' && (cut == len(content) || content[cut] != '\n') {
			continue
		}
		want := ids(append(append([]event.Event(nil), events[:bytes.Count(content[:min(cut+1, len(content))], []byte{'\n'})]...), next))
		if got := holds(t, name, content[:cut], next); got != want {
			t.Fatalf("cut at %d of %d: %s, want %s", cut, len(content), got, want)
		}
	}
}

func TestAByteThatChangedCostsOneEvent(t *testing.T) {
	t.Parallel()
	events, name, content := lone(t)
	more := newAuthor()
	more.now = more.now.Add(time.Hour)
	next := more.many(1)[0]
	for at := 0; at < len(content); at += 61 {
		damaged := append([]byte(nil), content...)
		damaged[at] ^= 1
		got := strings.Fields(holds(t, name, damaged, next))
		lost := 1
		if content[at] == '\n' {
			lost = 2 // the two lines are one
		}
		if len(got) != len(events)+1-lost || got[len(got)-1] != next.ID {
			t.Fatalf("byte %d: %d events, want %d", at, len(got), len(events)+1-lost)
		}
	}
}

func TestTheOldestEventsGoWhenThereAreTooManyBytes(t *testing.T) {
	t.Parallel()
	const most = 256 << 10
	folder := t.TempDir()
	events := newAuthor().many(4000) // about 1 MiB
	h := kept(t, Settings{Folder: folder, MostBytes: most}, events)
	waiting.Until(t, "the cap holds", func() bool { return folderBytes(t, folder) <= most })
	got := all(t, h)
	if !strings.HasSuffix(ids(events), got) || len(strings.Fields(got)) < 500 {
		t.Errorf("%d events are left, or not the newest", len(strings.Fields(got)))
	}
}

func folderBytes(t *testing.T, folder string) (total int64) {
	t.Helper()
	found, err := segmentsIn(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range found {
		total += s.onDisk()
	}
	return total
}

func TestEventsThatAreTooOldGoFromDiskAndMemory(t *testing.T) {
	folder, a := t.TempDir(), newAuthor()
	s := Settings{Folder: folder, MostAge: time.Hour}
	h := New(s)
	old := a.many(10)
	a.now = a.now.Add(40 * time.Minute)
	fresh := a.many(10)
	h.wall = func() time.Time { return fresh[9].StartedAt.Add(30 * time.Minute) }
	h.Start()
	t.Cleanup(func() { end(t, h) })
	for _, e := range append(old, fresh...) {
		h.Append(e)
		h.settle(t)
	}
	waiting.Until(t, "the old ones are gone", func() bool { return all(t, h) == ids(fresh) })
	if read(t, h, Query{Limit: 20}).Entries[0].ID != fresh[0].ID {
		t.Error("memory still shows the old ones")
	}
}

func TestNoEventIsKeptForLongerThanItMay(t *testing.T) {
	for name, c := range map[string]struct {
		folder string
		away   bool // the disk, until all has happened
	}{"on disk": {t.TempDir(), false}, "on a disk that was away": {t.TempDir(), true}, "in memory": {"", false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAuthor()
			var now atomic.Pointer[time.Time]
			pass := func(d time.Duration) {
				a.now = a.now.Add(d)
				at := a.now.Add(10 * time.Second) // each event takes one: none is ahead of the clock
				now.Store(&at)
			}
			pass(0)
			h := New(Settings{Folder: c.folder, MostAge: time.Hour})
			h.wall = func() time.Time { return *now.Load() }
			if !c.away {
				h.Start()
			}
			t.Cleanup(func() { end(t, h) })
			first := a.write(zone.Appeared, "door", "")
			h.Append(first)
			pass(7 * time.Minute)
			h.Append(a.write(zone.Gone, "door", ""))
			pass(20 * time.Minute)
			third := a.write(zone.Appeared, "door", "")
			h.Append(third)
			if c.away {
				h.Start()
				h.settle(t)
			}
			pass(34 * time.Minute)
			select { // without waiting: where nobody looks, the test fails and does not hang
			case h.wake <- struct{}{}:
			default:
			}
			waiting.Until(t, "the first is gone and the last is there", func() bool {
				got := all(t, h) // of a disk nothing is there at first
				return !strings.Contains(got, first.ID) && strings.HasSuffix(got, third.ID)
			})
		})
	}
}

func TestTheOldestIsKnownOnceTheDiskWasRead(t *testing.T) {
	t.Parallel()
	folder, a := t.TempDir(), newAuthor()
	h := New(Settings{Folder: folder, MostAge: time.Hour})
	if _, known := h.Oldest(); known {
		t.Error("it is known before the disk was read")
	}
	var now atomic.Pointer[time.Time]
	begins := a.now
	now.Store(&begins)
	h.wall = func() time.Time { return *now.Load() }
	h.Start()
	defer end(t, h)
	if oldest, known := h.Oldest(); oldest != "" || !known {
		t.Errorf("nothing was ever kept, and the oldest is %q, %v", oldest, known)
	}
	first := a.write(zone.Appeared, "door", "")
	h.Append(first)
	if oldest, _ := h.Oldest(); oldest != first.ID {
		t.Errorf("%q, want %q", oldest, first.ID)
	}
	h.settle(t)
	a.now = a.now.Add(2 * time.Hour)
	later := a.now
	now.Store(&later)
	h.wake <- struct{}{}
	waiting.Until(t, "it is too old", func() bool { oldest, _ := h.Oldest(); return oldest > first.ID })
	if next := a.write(zone.Appeared, "door", ""); next.ID < oldestOf(h) {
		t.Errorf("%q is below %q", next.ID, oldestOf(h))
	}
}

func oldestOf(h *History) string {
	oldest, _ := h.Oldest()
	return oldest
}

func TestWithoutAFolderTheNewestEventsAreInMemory(t *testing.T) {
	h := started(t, Settings{})
	events := newAuthor().many(memoryEvents + 1)
	for _, e := range events {
		h.Append(e)
	}
	if got := all(t, h); got != ids(events[1:]) {
		t.Errorf("%d events, want %d", len(strings.Fields(got)), memoryEvents)
	}
	if oldest, known := h.Oldest(); oldest != events[1].ID || !known {
		t.Errorf("the oldest is %q, %v; want %q", oldest, known, events[1].ID)
	}
}

func TestReadersSeeEachEventOnceWhileItIsWrittenAndOldOnesGo(t *testing.T) {
	const count = 3000
	h := started(t, Settings{Folder: t.TempDir(), MostBytes: 256 << 10})
	events := newAuthor().many(count)
	var readers sync.WaitGroup
	for range 3 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			q := Query{After: "0", Limit: 50}
			for q.After != events[count-1].ID {
				changed := h.Changed()
				page, err := h.Read(context.Background(), q)
				if err != nil {
					t.Error(err)
					return
				}
				for _, e := range page.Entries {
					if e.ID <= q.After {
						t.Errorf("%s after %s", e.ID, q.After)
					}
					q.After = e.ID
				}
				if len(page.Entries) == 0 {
					<-changed
				}
			}
		}()
	}
	for _, e := range events {
		h.Append(e)
	}
	readers.Wait()
}

func TestOnlyVisitsWithoutAnEndAreUnfinished(t *testing.T) {
	folder, a := t.TempDir(), newAuthor()
	var events []event.Event
	for i := range 300 { // over memory, so that the disk answers
		visit := fmt.Sprint("V", i)
		events = append(events, a.write(zone.Appeared, "door", visit), a.write(zone.Gone, "door", visit))
	}
	lost := []event.Event{a.write(zone.Appeared, "door", "A"), a.write(zone.Entered, "door", "A"), a.write(zone.Appeared, "gate", "B")}
	orphan := a.write(zone.Left, "door", "C") // its beginning is no longer kept
	end(t, kept(t, Settings{Folder: folder}, append(append(events, lost...), orphan)))
	found, err := started(t, Settings{Folder: folder}).Unfinished()
	if err != nil || ids(found) != ids(lost) {
		t.Errorf("%s, %v; want %s", ids(found), err, ids(lost))
	}
}

func TestAVisitWhoseEndCouldNotBeKeptStaysOpen(t *testing.T) {
	folder := t.TempDir()
	left := newAuthor().write(zone.Appeared, "door", "A")
	end(t, kept(t, Settings{Folder: folder}, []event.Event{left}))
	inTheWay := filepath.Join(folder, "trial.new") // a folder with something in it, which no file replaces
	if err := os.MkdirAll(filepath.Join(inTheWay, "mine"), 0o700); err != nil {
		t.Fatal(err)
	}
	h := started(t, Settings{Folder: folder})
	if found, err := h.Unfinished(); err == nil || len(found) > 0 {
		t.Errorf("%s, %v; want an error", ids(found), err)
	}
	if err := os.RemoveAll(inTheWay); err != nil {
		t.Fatal(err)
	}
	if found, err := h.Unfinished(); err != nil || ids(found) != left.ID {
		t.Errorf("%s, %v; want %s", ids(found), err, left.ID)
	}
	if names, err := filepath.Glob(filepath.Join(folder, "trial*")); err != nil || len(names) > 0 {
		t.Errorf("%v is left, %v", names, err)
	}
}
