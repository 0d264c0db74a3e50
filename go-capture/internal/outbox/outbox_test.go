// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/state"
	"visavis/capture/internal/waiting"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // tests of what is said listen themselves
	waiting.ForGoroutines(m)
}

func open(t *testing.T, s Settings) *Outbox {
	t.Helper()
	o, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close(context.Background()) }) // again where the test did it
	return o
}

// put appends events whose payloads are their numbers.
func put(t testing.TB, o *Outbox, from, to int) {
	t.Helper()
	for n := from; n <= to; n++ {
		if err := o.Append("porch/events", []byte(fmt.Sprint(n))); err != nil {
			t.Fatal(err)
		}
	}
}

// taken are the payloads that can be had now, each acknowledged if `ack`.
func taken(t testing.TB, o *Outbox, ack bool) (payloads []string) {
	t.Helper()
	for {
		record, found, err := o.take()
		if err != nil {
			t.Fatal(err)
		}
		if !found {
			o.goOnUnsaved() // where the test makes the rounds, none saves now
			if record, found, err = o.take(); !found || err != nil {
				return payloads
			}
		}
		payloads = append(payloads, string(record.Payload))
		if ack {
			o.Ack(record.Seq)
		}
	}
}

func numbers(from, to int) (list []string) {
	for n := from; n <= to; n++ {
		list = append(list, fmt.Sprint(n))
	}
	return list
}

func same(t testing.TB, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got %d: %v, want %d: %v", len(got), got, len(want), want)
	}
}

func round(t testing.TB, o *Outbox) {
	t.Helper()
	if err := o.round(true); err != nil {
		t.Fatal(err)
	}
}

func TestEventsComeOutInOrderAsTheyWentIn(t *testing.T) {
	o := open(t, Settings{Folder: filepath.Join(t.TempDir(), "made/by/us")})
	before := time.Now()
	put(t, o, 1, 3)
	for n := 1; n <= 3; n++ {
		record, err := o.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if string(record.Payload) != fmt.Sprint(n) || record.Topic != "porch/events" || record.Seq != uint64(n) || record.At.Before(before) {
			t.Errorf("event %d came out as %+v", n, record)
		}
	}
}

func TestWhatIsNotAcknowledgedComesAgainFromTheNextProcess(t *testing.T) {
	s := Settings{Folder: t.TempDir()}
	first := open(t, s)
	put(t, first, 1, 10)
	for range 4 {
		record, err := first.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		first.Ack(record.Seq)
	}
	if err := first.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	second := open(t, s)
	put(t, second, 11, 12)
	same(t, taken(t, second, true), numbers(5, 12))
	if s := second.Stats(); s.Waiting != 0 || s.Dropped+s.Corrupt != 0 {
		t.Errorf("%+v", s)
	}
}

func TestRewindRepeatsOnlyWhatIsNotAcknowledged(t *testing.T) {
	for _, place := range []string{"memory", "disk"} {
		o := loadedFrom(t, newMemoryDisk(), Settings{})
		put(t, o, 1, 6)
		if place == "disk" {
			round(t, o)
		}
		same(t, taken(t, o, false), numbers(1, 6))
		for _, seq := range []uint64{1, 2, 5} {
			o.Ack(seq)
		}
		o.Rewind()
		same(t, taken(t, o, true), []string{"3", "4", "6"})
		if s := o.Stats(); s.Waiting != 0 || s.InFlight != 0 {
			t.Errorf("%s: %+v", place, s)
		}
	}
}

func TestWhatBecomesOfABufferDoesNotReachItsEvent(t *testing.T) {
	o := loadedFrom(t, newMemoryDisk(), Settings{})
	buffer := []byte("1")
	if err := o.Append("t", buffer); err != nil {
		t.Fatal(err)
	}
	buffer[0] = '2'
	same(t, taken(t, o, true), numbers(1, 1))
}

func TestASegmentIsReadOnWhileItGrows(t *testing.T) {
	o := loadedFrom(t, newMemoryDisk(), Settings{})
	for from := 1; from < 30; from += 10 {
		put(t, o, from, from+9)
		round(t, o)
		same(t, taken(t, o, true), numbers(from, from+9))
	}
	if s := o.Stats(); s.Corrupt != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTheWindowBoundsWhatIsHandedOut(t *testing.T) {
	o := loadedFrom(t, newMemoryDisk(), Settings{})
	put(t, o, 1, 250)
	same(t, taken(t, o, false), numbers(1, 100))
	o.Ack(7)
	same(t, taken(t, o, false), numbers(101, 101))
	if s := o.Stats(); s.InFlight != 100 || s.Waiting != 249 {
		t.Errorf("%+v", s)
	}
}

func TestAtMostAWindowComesAgainAfterAKillAtAnyInstant(t *testing.T) {
	d := newMemoryDisk()
	o := loadedFrom(t, d, Settings{Window: 10})
	put(t, o, 1, 100)
	round(t, o)
	for handed := 0; handed < 100; {
		record, found, err := o.take()
		if err != nil {
			t.Fatal(err)
		}
		if found {
			handed++
			o.Ack(record.Seq)
		} else {
			round(t, o)
		}
		after := loadedFrom(t, copyOf(d), Settings{Window: 10})
		if again := handed - int(100-after.Stats().Waiting); again > 10 {
			t.Fatalf("%d of %d would come again", again, handed)
		}
	}
}

// copyOf is the disk as a process would find it that began now.
func copyOf(d *memoryDisk) *memoryDisk {
	left := d.kill()
	d.steps = -1
	return left
}

func TestADeliveryGoesOnWhileTheDiskHangs(t *testing.T) {
	o := loadedFrom(t, newMemoryDisk(), Settings{Window: 10})
	put(t, o, 1, 30) // and no round saves
	for n := 1; n <= 30; n++ {
		record := mustNext(t, o)
		o.Ack(record.Seq)
	}
}

func TestNextWaitsForAnEventAndForTheEndOfItsContext(t *testing.T) {
	o := open(t, Settings{Folder: t.TempDir()})
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan error, 1)
	next := func() {
		_, err := o.Next(ctx)
		got <- err
	}
	go next()
	put(t, o, 1, 1)
	if err := <-got; err != nil {
		t.Error(err)
	}
	go next()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestAcknowledgedSegmentsAreRemoved(t *testing.T) {
	d := newMemoryDisk()
	o := loadedFrom(t, d, Settings{MostBytes: 1 << 20})
	for n := range 20 {
		if err := o.Append("t", make([]byte, 20_000)); err != nil {
			t.Fatal(n, err)
		}
		round(t, o)
	}
	before := o.Stats().Segments
	taken(t, o, true)
	round(t, o)
	if after := o.Stats(); before < 4 || after.Segments != 0 || len(d.files) != 1 {
		t.Errorf("%d segments before, then %+v and files %v", before, after, d.files)
	}
}

func TestAnEventThatCannotBeSentIsRefused(t *testing.T) {
	o := loadedFrom(t, newMemoryDisk(), Settings{})
	for _, err := range []error{o.Append(strings.Repeat("t", 65_536), nil), o.Append("t", make([]byte, MostPayloadBytes+1))} {
		if !errors.Is(err, ErrTooLarge) {
			t.Error(err)
		}
	}
}

func TestTheLargestEventComesOutOfTheDisk(t *testing.T) {
	d := newMemoryDisk()
	o := loadedFrom(t, d, Settings{})
	topic, payload := strings.Repeat("t", MostTopicBytes), strings.Repeat("p", MostPayloadBytes)
	if err := o.Append(topic, []byte(payload)); err != nil {
		t.Fatal(err)
	}
	round(t, o)
	if r, _, err := loadedFrom(t, d.kill(), Settings{}).take(); r.Topic != topic || string(r.Payload) != payload {
		t.Errorf("%d and %d bytes, %v", len(r.Topic), len(r.Payload), err)
	}
}

func TestBytesOnDiskAreCountedInWholeBlocks(t *testing.T) {
	o := loadedFrom(t, newMemoryDisk(), Settings{})
	put(t, o, 1, 1)
	round(t, o)
	if s := o.Stats(); s.Bytes != blockBytes {
		t.Errorf("%+v", s)
	}
}

func TestTwoProgramsCannotShareAFolder(t *testing.T) {
	s := Settings{Folder: t.TempDir()}
	first := open(t, s)
	if _, err := Open(s); !errors.Is(err, state.ErrInUse) {
		t.Fatalf("second open: %v", err)
	}
	if err := first.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	open(t, s)
}

func TestAClosedOutboxTakesNothing(t *testing.T) {
	o := open(t, Settings{Folder: t.TempDir()})
	if err := o.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := o.Append("t", nil); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if err := o.Sync(context.Background()); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestASyncHappensByItself(t *testing.T) {
	d := newMemoryDisk()
	o := newOutbox(Settings{SyncEvery: 20 * time.Millisecond}, d)
	go o.run()
	put(t, o, 1, 3)
	waiting.Until(t, "the events are synced", func() bool { s := o.Stats(); return s.Unsynced == 0 && s.Waiting == 3 })
	put(t, o, 4, 6) // when the writer sleeps
	waiting.Until(t, "those after them, too", func() bool { s := o.Stats(); return s.Unsynced == 0 && s.Waiting == 6 })
	if err := o.Close(context.Background()); err != nil {
		t.Error(err)
	}
	same(t, taken(t, loadedFrom(t, d.powerCut(func(int) int { return 0 }), Settings{}), true), numbers(1, 6))
}

func TestTheByteCapDropsTheOldestSegmentsAndCountsEachEvent(t *testing.T) {
	l, d := listen(t), newMemoryDisk()
	s := Settings{MostBytes: 256 << 10}
	o := loadedFrom(t, d, s)
	for n := range 2_000 {
		if err := o.Append("t", fmt.Appendf(nil, "%0512d", n)); err != nil {
			t.Fatal(err)
		}
		if n%10 == 9 {
			round(t, o)
		}
	}
	same(t, l.said, []string{"outbox full, dropping the oldest events"})
	o = loadedFrom(t, d.kill(), s)
	stats := o.Stats()
	left := taken(t, o, true)
	for o.Stats().Waiting > 0 {
		left = append(left, taken(t, o, true)...)
	}
	if stats.Bytes > s.MostBytes || stats.Dropped == 0 || int(stats.Dropped)+len(left) != 2_000 {
		t.Fatalf("%+v, %d left", stats, len(left))
	}
	for i, payload := range left {
		if payload != fmt.Sprintf("%0512d", int(stats.Dropped)+i) {
			t.Fatalf("place %d holds %s", i, payload)
		}
	}
}

func TestTheAgeCapCountsRunningTimeOverRestarts(t *testing.T) {
	var ran time.Duration
	begin := func(d *memoryDisk) *Outbox {
		o := loadedFrom(t, d, Settings{MostAge: 8 * time.Hour})
		start := ran
		o.running = func() time.Duration { return ran - start }
		return o
	}
	later := func(o *Outbox, by time.Duration, dropped uint64) {
		t.Helper()
		ran += by
		round(t, o)
		if s := o.Stats(); s.Dropped != dropped {
			t.Errorf("after %s: %+v, want %d dropped", ran, s, dropped)
		}
	}
	d := newMemoryDisk()
	o := begin(d)
	put(t, o, 1, 5)
	later(o, 0, 0)
	ran += 5 * time.Hour
	put(t, o, 6, 9)
	later(o, 0, 0)
	o = begin(d.kill())
	put(t, o, 10, 12)
	later(o, 3*time.Hour-time.Minute, 0)
	later(o, 2*time.Minute, 5) // the age of a segment is that of its first event
	same(t, taken(t, o, false), numbers(6, 12))
}

func TestWallClocksThatJumpChangeNothing(t *testing.T) {
	years := []int{2026, 1970, 2036, 1901, 2262, 2026}
	var raw []byte
	for i, year := range years {
		at := time.Date(year, 1, 2, 3, 4, 5, 0, time.UTC)
		r := Record{Seq: uint64(i + 1), Topic: "t", Payload: []byte("{}"), At: at}
		raw = r.encode(raw)
	}
	d := newMemoryDisk()
	s := segment{first: 1}
	d.files[s.name()] = &memoryFile{disk: d, name: s.name(), data: append(s.header(), raw...)}
	o := loadedFrom(t, d, Settings{})
	for _, year := range years {
		record, found, err := o.take()
		if err != nil || !found || record.At.UTC().Year() != year {
			t.Errorf("%d: %+v %v %v", year, record, found, err)
		}
	}
	round(t, o)
	if s := o.Stats(); s.Dropped+s.Corrupt != 0 {
		t.Errorf("%+v", s)
	}
}

func TestFilesOfOthersInTheFolderAreLeftAlone(t *testing.T) {
	folder := t.TempDir()
	names := []string{"README", "7.events", "00000000000000000000.events", "09999999999999999999.events", "99999999999999999999.events", "position.old"}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := open(t, Settings{Folder: folder})
	put(t, o, 1, 2)
	if err := o.Sync(context.Background()); err != nil {
		t.Fatal(err)
	}
	same(t, taken(t, o, true), numbers(1, 2))
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			t.Error(err)
		}
	}
}
