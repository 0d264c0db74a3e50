// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"slices"
	"syscall"
	"testing"
)

// threeSegments is a disk with thirty events, ten of each of three processes.
func threeSegments(t *testing.T) *memoryDisk {
	t.Helper()
	d := newMemoryDisk()
	for from := 1; from < 30; from += 10 {
		o := loadedFrom(t, d, Settings{})
		put(t, o, from, from+9)
		round(t, o)
		d = d.kill()
	}
	return d
}

func TestADiskThatCannotBeReadIsTriedAgainThenSteppedOver(t *testing.T) {
	d := threeSegments(t)
	o := loadedFrom(t, d, Settings{})
	same(t, []string{string(mustNext(t, o).Payload)}, numbers(1, 1))
	o.Ack(1)
	bad := segment{first: 11}.name()
	d.mu.Lock()
	d.fault = func(what, name string) error {
		if what == "read" && name == bad {
			return syscall.EIO
		}
		return nil
	}
	d.mu.Unlock()
	tries := 0
	var got []string
	for range 40 {
		record, found, err := o.take()
		if err != nil {
			tries++
		}
		if found {
			got = append(got, string(record.Payload))
			o.Ack(record.Seq)
		}
	}
	same(t, got, append(numbers(2, 10), numbers(21, 30)...))
	if s := o.Stats(); tries != readTries-1 || s.Corrupt != 10 || s.Waiting != 0 {
		t.Errorf("%d tries, %+v", tries, s)
	}
}

func TestWhatTheDiskHasLostStopsNoEventAfterARestart(t *testing.T) {
	for _, bad := range []segment{{first: 1}, {first: 11}, {first: 21}} {
		d := threeSegments(t)
		d.fault = func(what, name string) error {
			if what == "read" && name == bad.name() {
				return syscall.EIO
			}
			return nil
		}
		o := newOutbox(Settings{}, d)
		for range readTries {
			_ = o.round(false) // fails until it has tried often enough
		}
		put(t, o, 31, 40)
		round(t, o)
		got := 0
		for range 60 {
			if record, found, _ := o.take(); found {
				got++
				o.Ack(record.Seq)
			}
		}
		if s := o.Stats(); got != 30 || s.Corrupt == 0 || s.Waiting != 0 {
			t.Errorf("without %s: %d events came out, %+v", bad.name(), got, s)
		}
	}
}

// losing makes what is asked of the position file fail for as long as it is this one.
func (d *memoryDisk) losing(asked ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	bad := d.files[positionName]
	d.fault = func(what, name string) error {
		if name == positionName && d.files[name] == bad && slices.Contains(asked, what) {
			return syscall.EIO
		}
		return nil
	}
}

func TestAPositionThatTheDiskHasLostStopsNoEventAfterARestart(t *testing.T) {
	for _, what := range []string{"open", "read"} {
		d := threeSegments(t)
		before := loadedFrom(t, d, Settings{})
		before.Ack(mustNext(t, before).Seq)
		round(t, before)
		d = d.kill()
		d.losing(what, "write")
		o := newOutbox(Settings{}, d)
		for range readTries {
			_ = o.round(false) // fails until it has tried often enough
		}
		put(t, o, 31, 40)
		same(t, taken(t, o, true), numbers(1, 40)) // 1 for the second time
		round(t, o)
		same(t, taken(t, loadedFrom(t, d.kill(), Settings{}), true), nil)
	}
}

// What of a file a failed sync has lost, nobody knows: the next one may say that all is well.
func TestAPositionThatFailedIsWrittenAgainAndCounts(t *testing.T) {
	for _, what := range []string{"write", "sync"} {
		d, _, _ := logOf(t, 9)
		o := loadedFrom(t, d, Settings{})
		for range 4 {
			o.Ack(mustNext(t, o).Seq)
			round(t, o)
		}
		o.Ack(mustNext(t, o).Seq)
		d.failing(what, syscall.EIO)
		if o.round(true) == nil {
			t.Fatalf("%s: nothing failed", what)
		}
		written := 0
		d.fault = func(asked, name string) error {
			if asked == "write" && name == positionName {
				written++
			}
			return nil
		}
		round(t, o)
		if written != 1 {
			t.Errorf("%s: it was written %d times", what, written)
		}
		same(t, taken(t, loadedFrom(t, d.kill(), Settings{}), true), numbers(6, 9))
	}
}

func TestNothingGoesFromADiskThatTakesNoPosition(t *testing.T) {
	d := threeSegments(t)
	o := loadedFrom(t, d, Settings{})
	taken(t, o, true)
	d.losing("write")
	if o.round(true) == nil {
		t.Fatal("nothing failed")
	}
	if s := loadedFrom(t, d.kill(), Settings{}).Stats(); s.Segments != 3 {
		t.Errorf("%+v", s)
	}
}

func TestWhatIsSettledGoesAlthoughTheDiskHasLostThePosition(t *testing.T) {
	for _, what := range []string{"open", "write", "sync"} {
		d := threeSegments(t)
		before := loadedFrom(t, d, Settings{})
		before.Ack(mustNext(t, before).Seq)
		round(t, before)
		d = d.kill()
		o := loadedFrom(t, d, Settings{})
		d.losing(what)
		same(t, taken(t, o, true), numbers(2, 30))
		for range storeTries {
			_ = o.round(true) // fails until it has tried often enough
		}
		round(t, o)
		if s := o.Stats(); s.Segments != 0 || s.Dropped+s.Corrupt != 0 || o.Fault() != "" {
			t.Errorf("%s: %+v, %q", what, s, o.Fault())
		}
		put(t, o, 31, 31)
		round(t, o)
		same(t, taken(t, loadedFrom(t, d.kill(), Settings{}), true), numbers(31, 31))
	}
}

// A kill leaves what the system writes within half a minute; a power cut may come sooner.
func TestTheNextProcessSyncsSoonWhatAKilledOneWrote(t *testing.T) {
	d := newMemoryDisk()
	killed := loadedFrom(t, d, Settings{})
	put(t, killed, 1, 5)
	if err := killed.round(false); err != nil {
		t.Fatal(err)
	}
	d = d.kill()
	o := loadedFrom(t, d, Settings{})
	if pause := o.rest(nil); pause > o.settings.SyncEvery {
		t.Errorf("it rests for %s", pause)
	}
	round(t, o)
	same(t, taken(t, loadedFrom(t, d.powerCut(func(int) int { return 0 }), Settings{}), true), numbers(1, 5))
}
