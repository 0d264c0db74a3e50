// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"visavis/capture/internal/logtest"
	"visavis/capture/internal/waiting"
)

// listener keeps what is said.
type listener struct {
	slog.Handler
	mu   sync.Mutex
	said []string
}

func (l *listener) Enabled(context.Context, slog.Level) bool { return true }

func (l *listener) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said = append(l.said, r.Message)
	return nil
}

// listen returns what the test says from now on.
func listen(t *testing.T) *listener {
	l := &listener{Handler: slog.DiscardHandler}
	logtest.Hear(t, l)
	return l
}

// failing makes one kind of operation fail.
func (d *memoryDisk) failing(what string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = func(asked, _ string) error {
		if asked == what {
			return &fs.PathError{Op: what, Path: "outbox", Err: err}
		}
		return nil
	}
}

func (d *memoryDisk) healed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.room = nil, -1
}

func TestEveryFaultIsToldWithTheRemedySaidOnceAndCostsNothing(t *testing.T) {
	const space, owner, failing = "make space", "give it to the user", "may be failing"
	for reason, remedy := range map[error]string{
		syscall.ENOSPC: space, syscall.EDQUOT: space, syscall.EFBIG: space, syscall.EROFS: "went read-only",
		syscall.EACCES: owner, syscall.EPERM: owner, syscall.EIO: failing, syscall.ENODEV: failing,
	} {
		for _, what := range []string{"write", "create", "sync", "sync folder", "prepare"} {
			for _, begun := range []bool{false, true} {
				t.Run(fmt.Sprint(reason, "/", what, "/", begun), func(t *testing.T) { oneFault(t, what, reason, remedy, begun) })
			}
		}
	}
}

// oneFault lets three rounds fail and then no more. begun: there is a segment and a position when it starts.
func oneFault(t *testing.T, what string, reason error, remedy string, begun bool) {
	l := listen(t)
	d := newMemoryDisk()
	o := loadedFrom(t, d, Settings{MostBytes: 256 << 10})
	from := 1
	if begun {
		put(t, o, 1, 10)
		round(t, o)
		o.Ack(mustNext(t, o).Seq)
		round(t, o)
		from = 11
	}
	d.failing(what, reason)
	failed := uint64(0)
	for n := range 3 {
		put(t, o, from+10*n, from+10*n+9)
		if o.round(true) != nil {
			failed++
		}
	}
	if told := o.Fault(); (failed > 0) != (strings.Contains(told, reason.Error()) && strings.Contains(told, remedy)) {
		t.Errorf("%d rounds failed: %q", failed, told)
	}
	if affected := !begun || what == "write" || what == "sync"; affected && failed != 3 {
		t.Errorf("%d of 3 rounds failed", failed)
	}
	d.healed()
	round(t, o)
	if s := o.Stats(); o.Fault() != "" || s.Unsynced != 0 || s.Dropped+s.Corrupt != 0 {
		t.Errorf("after it: %q, %+v", o.Fault(), s)
	}
	if want := min(failed, 1) * 2; uint64(len(l.said)) != want {
		t.Errorf("%d messages instead of %d: %v", len(l.said), want, l.said)
	}
	again := loadedFrom(t, d.powerCut(func(int) int { return 0 }), Settings{})
	got := taken(t, again, true)
	same(t, got, numbers(from-10*min(from-1, 1)+min(from-1, 1), from+29))
}

func TestEventsGoOutFromMemoryWhileTheDiskFails(t *testing.T) {
	d := newMemoryDisk()
	o := loadedFrom(t, d, Settings{})
	put(t, o, 1, 5)
	round(t, o)
	d.failing("write", syscall.EIO)
	put(t, o, 6, 9)
	if o.round(true) == nil {
		t.Fatal("the disk does not fail")
	}
	same(t, taken(t, o, true), numbers(1, 9))
	d.healed()
	put(t, o, 10, 11)
	round(t, o)
	again := loadedFrom(t, d.kill(), Settings{})
	same(t, taken(t, again, true), numbers(10, 11))
	if s := again.Stats(); s.Corrupt+s.Dropped != 0 {
		t.Errorf("%+v", s)
	}
}

func TestEventsGoOutFromMemoryForAsLongAsTheDiskTakesNone(t *testing.T) {
	const memory, events = 64 << 10, 1_000 // four times what fits
	locked := func(string, string) error { return syscall.EROFS }
	for name, begin := range map[string]func(d *memoryDisk, o *Outbox){
		"it is locked": func(d *memoryDisk, _ *Outbox) { d.fault = locked },
		"it is locked before a sync": func(d *memoryDisk, o *Outbox) {
			put(t, o, 3, 3)
			_ = o.round(false)
			d.fault = locked
		},
		"it is full": func(d *memoryDisk, o *Outbox) {
			o.abandonNow()
			d.room = 0
		},
		"it was full behind a header": func(d *memoryDisk, o *Outbox) {
			o.abandonNow()
			d.room = segmentHeader
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newMemoryDisk()
			o := loadedFrom(t, d, Settings{MemoryBytes: memory})
			put(t, o, 1, 2)
			round(t, o)
			taken(t, o, true)
			begin(d, o)
			got := len(taken(t, o, true))
			for n := range events {
				if err := o.Append("t", fmt.Appendf(nil, "%0250d", n)); err != nil {
					t.Fatal(err)
				}
				_ = o.round(false)
				got += len(taken(t, o, true))
			}
			if len(d.files) > 4 {
				t.Errorf("%d files are left", len(d.files))
			}
			if s := o.Stats(); s.Dropped != 0 || got < events || o.Fault() == "" {
				t.Errorf("%d of %d came, fault %q, %+v", got, events, o.Fault(), s)
			}
		})
	}
}

// abandonNow ends the active segment.
func (o *Outbox) abandonNow() {
	o.mu.Lock()
	defer o.mu.Unlock()
	_ = o.abandon() // a disk in memory has nothing to close
}

func TestAFullDiskDropsTheOldestSegmentsWhenMemoryFillsAndCountsExactly(t *testing.T) {
	fillsUp(t, newMemoryDisk(), 0)
}

func TestADiskThatIsFullBeforeAPositionWasSavedLosesItsOldestSegmentToo(t *testing.T) {
	d := newMemoryDisk()
	before := newOutbox(Settings{MostBytes: 1 << 20}, d)
	const events = 800
	for n := range events {
		if err := before.Append("t", fmt.Appendf(nil, "%0200d", n)); err != nil {
			t.Fatal(err)
		}
		if n%100 == 0 {
			_ = before.round(true)
		}
	}
	round(t, before)
	left := d.kill()
	delete(left.files, positionName) // the disk has lost it, or an older version never made it
	fillsUp(t, left, events)
}

// fillsUp appends events, from this number on, to a disk of 200 KiB until most of them had to go, and looks for what is left.
func fillsUp(t *testing.T, d *memoryDisk, first int) {
	o := newOutbox(Settings{MostBytes: 1 << 20, MemoryBytes: 64 << 10}, d)
	const size, events = 200 << 10, 3_000
	d.room = max(size-d.used(), 0)
	for n := first; n < events; n++ {
		if err := o.Append("t", fmt.Appendf(nil, "%0200d", n)); err != nil {
			t.Fatal(err)
		}
		if n%20 == 0 {
			_ = o.round(false)
		}
	}
	d.healed()
	round(t, o)
	s := o.Stats()
	if s.Dropped == 0 || s.Corrupt != 0 {
		t.Fatalf("%+v", s)
	}
	again := loadedFrom(t, d.kill(), Settings{MostBytes: 1 << 20})
	left := taken(t, again, true)
	if int(s.Dropped)+len(left) != events || again.Stats().Dropped != s.Dropped {
		t.Fatalf("%d left of %d, %+v", len(left), events, s)
	}
	for i, payload := range left {
		if payload != fmt.Sprintf("%0200d", int(s.Dropped)+i) {
			t.Fatalf("place %d of those left holds %s: not the oldest were dropped", i, payload)
		}
	}
}

func TestOnlyAFullDiskCostsWhatIsOnIt(t *testing.T) {
	d := threeSegments(t)
	o := loadedFrom(t, d, Settings{MemoryBytes: 10_000})
	d.failing("create", syscall.EACCES)
	put(t, o, 31, 1_000) // more than memory holds
	for range 3 {
		if o.round(true) == nil {
			t.Fatal("nothing failed")
		}
	}
	same(t, taken(t, o, true)[:30], numbers(1, 30))
}

func TestASegmentThatAFullDiskLeftEmptyStaysOnceItHoldsEvents(t *testing.T) {
	d := newMemoryDisk()
	o := loadedFrom(t, d, Settings{})
	put(t, o, 1, 2)
	round(t, o)
	o.abandonNow()
	d.room = segmentHeader / 2
	put(t, o, 3, 4)
	if o.round(true) == nil {
		t.Fatal("nothing failed")
	}
	d.healed()
	round(t, o)
	if err := o.retire(); err != nil {
		t.Fatal(err)
	}
	put(t, o, 5, 6)
	round(t, o)
	same(t, taken(t, loadedFrom(t, d.kill(), Settings{}), true), numbers(1, 6))
}

func (d *memoryDisk) used() (bytes int) {
	for _, f := range d.files {
		bytes += len(f.data)
	}
	return bytes
}

func TestWithoutADiskTheOldestInMemoryGoAndWhatIsInFlightStays(t *testing.T) {
	d := newMemoryDisk()
	o := loadedFrom(t, d, Settings{MemoryBytes: 10_000, Window: 3})
	d.failing("create", syscall.EROFS)
	put(t, o, 1, 3)
	same(t, taken(t, o, false), numbers(1, 3))
	put(t, o, 4, 1_000)
	_ = o.round(true)
	s := o.Stats()
	if s.Dropped == 0 || int(s.Dropped+s.Waiting) != 1_000 {
		t.Fatalf("%+v", s)
	}
	o.Rewind()
	same(t, taken(t, o, true), append(numbers(1, 3), numbers(4+int(s.Dropped), 1_000)...))
}

func TestWhatWasWrittenStaysThereThroughAFailedWrite(t *testing.T) {
	for _, what := range []string{"write", "sync"} {
		d := newMemoryDisk()
		o := loadedFrom(t, d, Settings{MemoryBytes: 10_000})
		put(t, o, 1, 10)
		if err := o.round(false); err != nil {
			t.Fatal(err)
		}
		d.failing(what, syscall.EIO)
		for from := 11; from < 1_000; from += 500 { // more than memory holds
			put(t, o, from, from+499)
			if o.round(true) == nil {
				t.Fatal("nothing failed")
			}
		}
		got := taken(t, loadedFrom(t, d.kill(), Settings{}), true)
		same(t, got[:min(10, len(got))], numbers(1, 10))
	}
}

func TestAPositionThatFailedIsOpenedAgain(t *testing.T) {
	d, _, _ := logOf(t, 5)
	o := loadedFrom(t, d, Settings{})
	o.Ack(mustNext(t, o).Seq)
	round(t, o)
	d.failing("write", syscall.EIO)
	o.Ack(mustNext(t, o).Seq)
	if o.round(true) == nil {
		t.Fatal("nothing failed")
	}
	d.healed()
	delete(d.files, positionName) // what is there now is not what was open
	round(t, o)
	same(t, taken(t, loadedFrom(t, d.kill(), Settings{}), true), numbers(3, 5))
}

func TestAppendDoesNotWaitForADiskThatHangs(t *testing.T) {
	d := newMemoryDisk()
	o := newOutbox(Settings{MemoryBytes: 100_000}, d)
	go o.run()
	put(t, o, 1, 10)
	waiting.Until(t, "ten are written", func() bool { return o.Stats().Segments == 1 })
	reached, goOn := d.hangsIn(t, "write")
	if err := o.Append("t", make([]byte, 10_000)); err != nil {
		t.Fatal(err)
	}
	<-reached
	put(t, o, 12, 9_999) // returns, while the writer waits
	if err := o.Append("t", []byte("newest")); err != nil {
		t.Fatal(err)
	}
	s := o.Stats()
	if s.Dropped == 0 || int(s.Waiting+s.Dropped) != 10_000 {
		t.Errorf("%+v", s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := o.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Sync: %v", err)
	}
	goOn()
	if err := o.Close(context.Background()); err != nil {
		t.Error(err)
	}
	again := loadedFrom(t, d.kill(), Settings{})
	left := taken(t, again, true)
	if len(left)+int(s.Dropped) != 10_000 || left[len(left)-1] != "newest" {
		t.Errorf("%d left to %q, %d dropped", len(left), left[len(left)-1], s.Dropped)
	}
}

func TestAFolderThatCannotBeReadHoldsNewEventsBackUntilItCan(t *testing.T) {
	d, _, _ := logOf(t, 3)
	d.failing("list", syscall.EACCES)
	o := newOutbox(Settings{}, d)
	if err := o.round(false); !errors.Is(err, syscall.EACCES) {
		t.Fatal(err)
	}
	put(t, o, 4, 6)
	same(t, taken(t, o, true), nil) // those before them are in there
	if s := o.Stats(); s.Waiting != 3 || !strings.Contains(o.Fault(), "permission denied") {
		t.Errorf("%q, %+v", o.Fault(), s)
	}
	d.healed()
	round(t, o)
	same(t, taken(t, o, true), numbers(1, 6))
}

func TestADiskMountedOverTheFolderIsNotOverwritten(t *testing.T) {
	d := newMemoryDisk()
	o := loadedFrom(t, d, Settings{})
	other, name, _ := logOf(t, 3)
	d.files = other.files // with a segment of the name that ours would get
	before := string(d.files[name].data)
	put(t, o, 1, 2)
	if err := o.round(true); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "start the daemon again") {
		t.Errorf("%v", err)
	}
	if string(d.files[name].data) != before {
		t.Error("it was overwritten")
	}
	same(t, taken(t, o, true), numbers(1, 2))
}

func TestTheWriterTriesAgainEverySecond(t *testing.T) {
	o := newOutbox(Settings{}, newMemoryDisk())
	if got := o.rest(syscall.ENOSPC); got > 10*time.Second {
		t.Errorf("%s", got)
	}
}

func TestSyncAndCloseSayWhatOnlyMemoryHas(t *testing.T) {
	d := newMemoryDisk()
	d.failing("write", syscall.ENOSPC)
	o := newOutbox(Settings{}, d)
	go o.run()
	put(t, o, 1, 1)
	if err := o.Sync(context.Background()); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("Sync: %v", err)
	}
	if err := o.Close(context.Background()); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "1 events") {
		t.Errorf("%v", err)
	}
}

func TestAppendDoesNotWaitForALogThatHangs(t *testing.T) {
	reached, goOn := logtest.Hang(t)
	d := newMemoryDisk()
	d.failing("write", syscall.EIO)
	o := newOutbox(Settings{MemoryBytes: 50_000}, d)
	go o.run()
	put(t, o, 1, 1)
	<-reached
	put(t, o, 2, 5_000)
	if s := o.Stats(); s.Dropped == 0 {
		t.Errorf("%+v", s)
	}
	goOn()
	if err := o.Close(context.Background()); err == nil {
		t.Error("what was in memory only was not reported")
	}
}
