// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"syscall"
	"testing"
	"time"
)

// device runs an outbox in one process after another. Its clock stands still between them.
type device struct {
	*Outbox
	t    *testing.T
	disk *memoryDisk
	ran  time.Duration
}

func startedDevice(t *testing.T, d *memoryDisk) *device {
	made := &device{t: t, disk: d}
	made.start()
	return made
}

func (d *device) start() {
	d.t.Helper()
	d.begin()
	round(d.t, d.Outbox)
}

// begin is a start whose first round is still due.
func (d *device) begin() {
	d.Outbox = newOutbox(Settings{MostAge: 7 * 24 * time.Hour}, d.disk)
	start := d.ran
	d.running = func() time.Duration { return d.ran - start }
}

// runs looks after its events every minute, as the writer does.
func (d *device) runs(by time.Duration) {
	d.t.Helper()
	for end := d.ran + by; d.ran < end; {
		d.ran += lookEvery
		_ = d.round(!d.Outbox.disk.due.IsZero()) // a minute later a sync is due; a disk may fail here
	}
}

// ends in order, as for a restart.
func (d *device) ends() {
	d.t.Helper()
	if d.lastRound(); d.roundErr != nil {
		d.t.Fatal(d.roundErr)
	}
	d.disk = d.disk.kill()
}

func (d *device) waits(events uint64) {
	d.t.Helper()
	if s := d.Stats(); s.Waiting != events {
		d.t.Errorf("after %s: %+v, want %d waiting", d.ran, s, events)
	}
}

// A broker is away, nothing happens, and the device is restarted every night: that must not keep an event for longer.
func TestAgeGoesOnOverRestartsWhileNothingHappens(t *testing.T) {
	for how, end := range map[string]func(d *device){
		"in order":       func(d *device) { d.ends() },
		"by a kill":      func(d *device) { d.disk = d.disk.kill() },
		"by a power cut": func(d *device) { d.disk = d.disk.powerCut(func(int) int { return 0 }) },
	} {
		t.Run(how, func(t *testing.T) {
			d := startedDevice(t, newMemoryDisk())
			put(t, d.Outbox, 1, 5)
			for range 6 {
				d.runs(24*time.Hour - 15*time.Minute)
				end(d)
				d.start()
			}
			d.waits(5)
			d.runs(27 * time.Hour)
			d.waits(0)
		})
	}
}

// Whatever the disk did meanwhile, an event is as old as it is.
func TestEventsThatWaitedInMemoryForADiskAreAsOldAsTheyAre(t *testing.T) {
	t.Run("the disk comes back", func(t *testing.T) {
		d := startedDevice(t, newMemoryDisk())
		d.disk.failing("create", syscall.EACCES)
		put(t, d.Outbox, 1, 5)
		d.runs(4 * 24 * time.Hour)
		d.disk.healed()
		d.runs(2 * 24 * time.Hour)
		d.waits(5)
		d.runs(25 * time.Hour)
		d.waits(0)
	})
	t.Run("the disk comes back to events of several days", func(t *testing.T) {
		d := startedDevice(t, newMemoryDisk())
		d.disk.failing("create", syscall.EACCES)
		put(t, d.Outbox, 1, 5)
		d.runs(3 * 24 * time.Hour)
		put(t, d.Outbox, 6, 7)
		d.runs(24 * time.Hour)
		d.disk.healed()
		d.runs(3*24*time.Hour - lookEvery)
		d.waits(7)
		d.runs(time.Hour)
		d.waits(2)
		d.runs(3 * 24 * time.Hour)
		d.waits(0)
	})
	for _, what := range []string{"create", "list"} {
		t.Run("the disk stays away: "+what, func(t *testing.T) {
			disk := newMemoryDisk()
			disk.failing(what, syscall.EACCES)
			d := &device{t: t, disk: disk}
			d.begin()
			put(t, d.Outbox, 1, 5)
			d.runs(6 * 24 * time.Hour)
			d.waits(5)
			put(t, d.Outbox, 6, 7)
			d.runs(25 * time.Hour)
			d.waits(2)
			disk.healed()
			d.runs(2 * lookEvery)
			same(t, taken(t, d.Outbox, true), numbers(6, 7))
			if s := d.Stats(); s.Dropped != 5 || s.Corrupt != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestEventsFromBeforeTheFolderCouldBeReadAreNoOlderThanTheyAre(t *testing.T) {
	d := startedDevice(t, newMemoryDisk())
	put(t, d.Outbox, 1, 1)
	d.runs(5 * 24 * time.Hour)
	d.ends()
	d.disk.failing("list", syscall.EACCES)
	d.begin()
	put(t, d.Outbox, 2, 3)
	d.runs(lookEvery)
	d.disk.healed()
	d.runs(lookEvery)
	d.waits(3)
	d.runs(3 * 24 * time.Hour)
	d.waits(2)
}

func TestASegmentWhoseHeaderIsDamagedIsAsOldAsItsFirstEvent(t *testing.T) {
	d := startedDevice(t, newMemoryDisk())
	d.runs(time.Hour)
	put(t, d.Outbox, 1, 5)
	for range 7 {
		d.runs(24*time.Hour - lookEvery)
		d.waits(5)
		d.ends()
		d.disk.files[segment{first: 1}.name()].data[0] = 0
		d.start()
	}
	d.runs(time.Hour)
	d.waits(0)
}

func TestOfWhatGrowsTooOldOnlyWhatIsNotAcknowledgedCountsAsDropped(t *testing.T) {
	for _, acknowledged := range [][]uint64{{2, 3}, {2, 4}} {
		d := startedDevice(t, newMemoryDisk())
		put(t, d.Outbox, 1, 4)
		taken(t, d.Outbox, false)
		for _, seq := range acknowledged {
			d.Ack(seq)
		}
		d.runs(8 * 24 * time.Hour)
		if s := d.Stats(); s.Dropped != 2 || s.Waiting != 0 || s.InFlight != 0 {
			t.Errorf("%v were acknowledged: %+v", acknowledged, s)
		}
	}
}

func TestWhatWasAcknowledgedBehindWhatGrewTooOldDoesNotComeAgain(t *testing.T) {
	d := startedDevice(t, newMemoryDisk())
	put(t, d.Outbox, 1, 1)
	d.runs(2 * 24 * time.Hour)
	put(t, d.Outbox, 2, 2)
	d.runs(lookEvery)
	taken(t, d.Outbox, false)
	d.Ack(2)
	d.runs(6 * 24 * time.Hour)
	d.ends()
	d.start()
	same(t, taken(t, d.Outbox, true), nil)
}
