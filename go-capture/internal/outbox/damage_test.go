// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// logOf is a disk with one segment of n events, and where each record ends in it.
func logOf(t testing.TB, n int) (d *memoryDisk, name string, ends []int) {
	t.Helper()
	d = newMemoryDisk()
	o := loadedFrom(t, d, Settings{})
	put(t, o, 1, n)
	round(t, o)
	d = d.kill()
	name = segment{first: 1}.name()
	scan := scanner{from: d.files[name], offset: segmentHeader, size: int64(len(d.files[name].data))}
	for range n {
		if _, err := scan.next(); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, int(scan.offset))
	}
	return d, name, ends
}

func wholeBefore(ends []int, cut int) (records int) {
	for _, end := range ends {
		if end <= cut {
			records++
		}
	}
	return records
}

func TestALogCutAtAnyByteKeepsEveryWholeRecordAndGoesOn(t *testing.T) {
	whole, name, ends := logOf(t, 8)
	for cut := range len(whole.files[name].data) + 1 {
		d := whole.kill()
		d.files[name].data = d.files[name].data[:cut]
		o := loadedFrom(t, d, Settings{})
		kept := wholeBefore(ends, cut)
		put(t, o, 100, 103)
		round(t, o)
		want := append(numbers(1, kept), numbers(100, 103)...)
		same(t, taken(t, o, false), want)
		o = loadedFrom(t, d.kill(), Settings{}) // and once more from what that left
		same(t, taken(t, o, true), want)
		if s := o.Stats(); s.Corrupt != 0 || s.Waiting != 0 {
			t.Fatalf("cut at %d: %+v", cut, s)
		}
	}
}

func TestADamagedByteCostsOneRecordWhichIsCounted(t *testing.T) {
	whole, name, ends := logOf(t, 8)
	for at := segmentHeader; at < ends[6]; at++ { // the last record has no neighbour that tells of it
		d := whole.kill()
		d.files[name].data[at] ^= 0x41
		o := loadedFrom(t, d, Settings{})
		hit := wholeBefore(ends, at) + 1
		want := append(numbers(1, hit-1), numbers(hit+1, 8)...)
		same(t, taken(t, o, true), want)
		if s := o.Stats(); s.Corrupt != 1 || s.Waiting != 0 {
			t.Fatalf("byte %d: %+v", at, s)
		}
	}
}

func TestAGapWaitsForWhatIsInFlightBeforeIt(t *testing.T) {
	d, name, ends := logOf(t, 8)
	d.files[name].data[ends[3]+50] ^= 1 // the fifth
	o := loadedFrom(t, d, Settings{})
	same(t, taken(t, o, false), numbers(1, 4))
	if s := o.Stats(); s.Corrupt != 0 {
		t.Errorf("%+v", s)
	}
	o.Rewind()
	same(t, taken(t, o, false), numbers(1, 4))
	for seq := range uint64(4) {
		o.Ack(seq + 1)
	}
	same(t, taken(t, o, true), numbers(6, 8))
	if s := o.Stats(); s.Corrupt != 1 || s.Waiting != 0 {
		t.Errorf("%+v", s)
	}
}

func TestADamagedHeaderCostsNoRecord(t *testing.T) {
	whole, name, _ := logOf(t, 3)
	for at := range segmentHeader {
		d := whole.kill()
		d.files[name].data[at] ^= 0x41
		same(t, taken(t, loadedFrom(t, d, Settings{}), true), numbers(1, 3))
	}
}

func TestEmptyAndZeroedSegmentsAreSurvived(t *testing.T) {
	for _, left := range []int{0, 7, segmentHeader, segmentHeader + 5, 4096, 1 << 20} {
		d, _, _ := logOf(t, 3)
		name := segment{first: 4}.name()
		d.files[name] = &memoryFile{disk: d, name: name, data: make([]byte, left)}
		o := loadedFrom(t, d, Settings{})
		put(t, o, 4, 5)
		round(t, o)
		same(t, taken(t, o, true), numbers(1, 5))
		if s := o.Stats(); s.Corrupt != 0 || s.Waiting != 0 {
			t.Errorf("%d zero bytes: %+v", left, s)
		}
	}
}

func TestASegmentThatWasEmptyStaysOnceItHoldsEvents(t *testing.T) {
	d, _, _ := logOf(t, 3)
	name := segment{first: 4}.name()
	d.files[name] = &memoryFile{disk: d, name: name}
	o := loadedFrom(t, d, Settings{})
	put(t, o, 4, 5)
	round(t, o)
	for range 3 {
		o.Ack(mustNext(t, o).Seq)
	}
	round(t, o) // removes what is before it
	same(t, taken(t, loadedFrom(t, d.kill(), Settings{}), true), numbers(4, 5))
}

func TestASegmentThatIsZeroedOrGoneInTheMiddleIsCountedExactly(t *testing.T) {
	for _, gone := range []bool{true, false} {
		d := newMemoryDisk()
		for from := 1; from < 300; from += 100 { // three processes, three segments
			o := loadedFrom(t, d, Settings{})
			put(t, o, from, from+99)
			round(t, o)
			d = d.kill()
		}
		middle := segment{first: 101}.name()
		d.files[middle].data = make([]byte, len(d.files[middle].data))
		if gone {
			delete(d.files, middle)
		}
		o := loadedFrom(t, d, Settings{})
		same(t, taken(t, o, true), append(numbers(1, 100), numbers(201, 300)...))
		round(t, o)
		if s := loadedFrom(t, d.kill(), Settings{}).Stats(); s.Corrupt != 100 || s.Waiting != 0 {
			t.Errorf("gone %v: %+v", gone, s)
		}
	}
}

func TestADamagedPositionRepeatsRatherThanLoses(t *testing.T) {
	d, _, _ := logOf(t, 5)
	o := loadedFrom(t, d, Settings{})
	record, _, err := o.take()
	if err != nil {
		t.Fatal(err)
	}
	o.Ack(record.Seq)
	round(t, o)
	same(t, taken(t, loadedFrom(t, d.kill(), Settings{}), false), numbers(2, 5))
	for _, left := range [][]byte{nil, make([]byte, positionBytes), []byte("visavisP")} {
		broken := d.kill()
		broken.files[positionName].data = left
		o := loadedFrom(t, broken, Settings{})
		same(t, taken(t, o, true), numbers(1, 5))
		round(t, o)
		if s := loadedFrom(t, broken.kill(), Settings{}).Stats(); s.Waiting != 0 {
			t.Errorf("not saved over %d bytes: %+v", len(left), s)
		}
	}
}

func TestATornPositionLeavesTheOneBefore(t *testing.T) {
	p := position{generation: 6, settled: 60, runningMs: 1, dropped: 2, corrupt: 3}
	raw := p.file()
	later := position{generation: 7, settled: 61, runningMs: 9, dropped: 9, corrupt: 9}
	for torn := range 49 { // behind it all is zero
		copy(raw[later.offset():], later.slot()[:torn])
		got, found, err := parsePosition(raw)
		if err != nil || !found || got != p {
			t.Fatalf("torn at %d: %+v %v %v", torn, got, found, err)
		}
	}
	copy(raw[later.offset():], later.slot())
	if got, _, _ := parsePosition(raw); got != later {
		t.Errorf("%+v", got)
	}
}

// ofVersion changes the version in a header or slot and makes its CRC right again.
func ofVersion(t *testing.T, path string, v byte) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(raw); at += slotDistance {
		crc := segmentCRC
		if filepath.Base(path) == positionName {
			crc = slotCRC
		}
		if len(raw) > at+slotBytes && raw[at] != 0 {
			raw[at+8] = v
			putCRC(raw[at:], crc(raw[at:]))
		}
		if filepath.Base(path) != positionName {
			break
		}
	}
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

func putCRC(raw []byte, crc uint32) {
	for i := range 4 {
		raw[12+i] = byte(crc >> (8 * i))
	}
}

func TestEventsOfANewerReleaseWaitForItWhileThisOneSendsItsOwn(t *testing.T) {
	for _, name := range []string{positionName, segment{first: 1}.name()} {
		s := Settings{Folder: filepath.Join(t.TempDir(), "porch")}
		newer := open(t, s)
		put(t, newer, 1, 50)
		if err := newer.Sync(context.Background()); err != nil {
			t.Fatal(err)
		}
		newer.Ack(mustNext(t, newer).Seq)
		ended(t, newer)
		ofVersion(t, filepath.Join(s.Folder, name), 2)

		for first := 51; first <= 71; first += 10 { // each start finds what the one before has left
			old := open(t, s)
			if fault := old.Fault(); !strings.Contains(fault, s.Folder+" is of version 2, this program knows 1") {
				t.Errorf("%s: the fault is %q", name, fault)
			}
			put(t, old, first, first+9)
			same(t, taken(t, old, false), numbers(51, first+9))
			ended(t, old)
		}

		ofVersion(t, filepath.Join(s.Folder, name), 1)
		back := open(t, s)
		same(t, taken(t, back, true), numbers(2, 50))
		ended(t, back)
	}
}

func TestOnceTheNewerReleasesEventsAreMovedAwayTheOwnTakeTheirPlace(t *testing.T) {
	s := Settings{Folder: filepath.Join(t.TempDir(), "porch")}
	newer := open(t, s)
	put(t, newer, 1, 5)
	ended(t, newer)
	ofVersion(t, filepath.Join(s.Folder, segment{first: 1}.name()), 2)
	old := open(t, s)
	put(t, old, 6, 9)
	ended(t, old)
	if err := os.Rename(s.Folder, s.Folder+".away"); err != nil {
		t.Fatal(err)
	}
	next := open(t, s)
	same(t, taken(t, next, true), numbers(6, 9))
	if fault := next.Fault(); fault != "" {
		t.Error(fault)
	}
	if _, err := os.Stat(s.Folder + ".v1"); err == nil {
		t.Error("there are two folders still")
	}
}

func ended(t *testing.T, o *Outbox) {
	t.Helper()
	if err := errors.Join(o.Sync(context.Background()), o.Close(context.Background())); err != nil {
		t.Fatal(err)
	}
}

func mustNext(t *testing.T, o *Outbox) Record {
	t.Helper()
	record, err := o.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// segmentOf puts a segment on a disk whose events say which segment they are of.
func (d *memoryDisk) segmentOf(first, last uint64) {
	s := segment{first: first}
	raw := s.header()
	for seq := first; seq <= last; seq++ {
		r := Record{Seq: seq, Topic: "t", Payload: fmt.Appendf(nil, "%d of %d", seq, first)}
		raw = r.encode(raw)
	}
	d.files[s.name()] = &memoryFile{disk: d, name: s.name(), data: raw}
}

func TestWhatWasWrittenAgainInTheNextSegmentCountsThere(t *testing.T) {
	d := newMemoryDisk()
	d.segmentOf(3, 6)
	d.segmentOf(5, 7)
	o := loadedFrom(t, d.kill(), Settings{})
	same(t, taken(t, o, true), []string{"3 of 3", "4 of 3", "5 of 5", "6 of 5", "7 of 5"})
	if s := o.Stats(); s.Corrupt != 0 { // without a position the first one kept is the first one
		t.Errorf("%+v", s)
	}
	d.files[segment{first: 3}.name()].data[segmentHeader+headerBytes+10] ^= 1 // event 4
	o = loadedFrom(t, d.kill(), Settings{})
	same(t, taken(t, o, true), []string{"3 of 3", "5 of 5", "6 of 5", "7 of 5"})
}

func TestDamageDoesNotReachWhatMemoryStillHas(t *testing.T) {
	d := newMemoryDisk()
	o := loadedFrom(t, d, Settings{})
	put(t, o, 1, 3)
	round(t, o)
	put(t, o, 4, 5)
	if err := o.round(false); err != nil {
		t.Fatal(err)
	}
	data := d.files[segment{first: 1}.name()].data
	bytes := (len(data) - segmentHeader) / 5
	data[segmentHeader+2*bytes] ^= 1 // events 3 and 4
	data[segmentHeader+3*bytes] ^= 1
	same(t, taken(t, o, true), []string{"1", "2", "4", "5"})
}

func TestAKillLeavesNoGapWhereEventsWereDeliveredFromMemory(t *testing.T) {
	for steps := 1; steps <= 12; steps++ {
		d := newMemoryDisk()
		o := loadedFrom(t, d, Settings{})
		put(t, o, 1, 2)
		o.Ack(mustNext(t, o).Seq)
		round(t, o)
		d = d.kill()
		o = loadedFrom(t, d, Settings{})
		put(t, o, 3, 5)
		same(t, taken(t, o, true), numbers(2, 5)) // before the last three were written
		put(t, o, 6, 7)
		d.steps = steps
		_ = o.round(true)
		o = loadedFrom(t, d.kill(), Settings{})
		taken(t, o, true)
		if s := o.Stats(); s.Corrupt != 0 {
			t.Errorf("killed at step %d: %+v", steps, s)
		}
	}
}

func TestASegmentOfUnknownAgeCountsAsNew(t *testing.T) {
	d := newMemoryDisk()
	d.segmentOf(1, 2)
	d.segmentOf(3, 4)
	clear(d.files[segment{first: 1}.name()].data) // an event that a power cut left without its content
	p := position{generation: 1, runningMs: uint64((7 * time.Hour).Milliseconds())}
	d.files[positionName] = &memoryFile{disk: d, name: positionName, data: p.file()}
	o := loadedFrom(t, d, Settings{MostAge: 8 * time.Hour})
	now := o.running
	o.running = func() time.Duration { return now() + 2*time.Hour } // too old is only what is behind it
	round(t, o)
	if s := o.Stats(); s.Dropped != 0 || s.Waiting != 4 {
		t.Errorf("%+v", s)
	}
}

func TestTheNextRecordIsFoundWhereverItsMarkLies(t *testing.T) {
	for shift := range 12 {
		first := Record{Seq: 1, Topic: "t", Payload: make([]byte, resyncBuffer-headerBytes-6+shift)}
		second := Record{Seq: 2, Topic: "t", Payload: []byte("found")}
		raw := second.encode(first.encode(nil))
		raw[0] ^= 1
		scan := scanner{from: bytes.NewReader(raw), size: int64(len(raw))}
		if record, err := scan.next(); err != nil || record.Seq != 2 {
			t.Errorf("shifted by %d: %+v %v", shift, record, err)
		}
	}
}

func TestAPowerCutAfterARemovalIsNoDamage(t *testing.T) {
	d := newMemoryDisk()
	s := Settings{MostBytes: 256 << 10}
	o := loadedFrom(t, d, s)
	for range 10 {
		if err := o.Append("t", make([]byte, 4_000)); err != nil {
			t.Fatal(err)
		}
		round(t, o)
	}
	for n := range 6 {
		o.Ack(mustNext(t, o).Seq)
		if n == 0 {
			round(t, o) // there is a position, and it is synced
		}
	}
	if err := o.round(false); err != nil {
		t.Fatal(err)
	}
	if _, there := d.files[segment{first: 1}.name()]; there {
		t.Fatal("nothing was removed")
	}
	o = loadedFrom(t, d.powerCut(func(int) int { return 0 }), s)
	if n := len(taken(t, o, true)); n != 4 || o.Stats().Corrupt != 0 {
		t.Errorf("%d came: %+v", n, o.Stats())
	}
}

// work appends, acknowledges and makes rounds until the disk fails or all is done. All numbers up to synced are on disk for sure.
func work(t *testing.T, o *Outbox) (synced, acknowledged int) {
	t.Helper()
	for n := 1; n <= 24; n++ {
		if err := o.Append("t", fmt.Appendf(nil, "%-4000d", n)); err != nil {
			t.Fatal(err)
		}
		if n%2 == 0 {
			if o.round(n%4 == 0) != nil {
				return synced, acknowledged
			}
			synced += 4 * (1 - n%4/2)
		}
		if n%3 == 0 {
			if record, found, err := o.take(); found && err == nil {
				o.Ack(record.Seq)
				acknowledged++
			}
		}
	}
	return synced, acknowledged
}

func TestAKillAtAnyStepLosesNothingThatWasSynced(t *testing.T) {
	for steps := 1; ; steps++ {
		d := newMemoryDisk()
		o := loadedFrom(t, d, Settings{MostBytes: 256 << 10})
		d.steps = steps
		synced, acknowledged := work(t, o)
		survived := d.steps > 0
		again := loadedFrom(t, d.kill(), Settings{MostBytes: 256 << 10})
		payloads := taken(t, again, true)
		first := int(again.last()) - len(payloads) + 1
		for n, payload := range payloads {
			if got := strings.TrimSpace(payload); got != fmt.Sprint(first+n) {
				t.Fatalf("killed at step %d: place %d holds %s, want %d", steps, n, got, first+n)
			}
		}
		if first > acknowledged+1 || int(again.last()) < synced || again.Stats().Corrupt != 0 {
			t.Fatalf("killed at step %d: %d to %d left of 1 to %d acknowledged, %d synced; %+v",
				steps, first, again.last(), acknowledged, synced, again.Stats())
		}
		if survived {
			return
		}
	}
}
