// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"errors"
	"fmt"
	"io/fs"
	"time"
)

const (
	retryEvery = time.Second // while the disk cannot be used
	lookEvery  = time.Minute // for events that grew too old
	batchBytes = 256 << 10
)

// disk is what only the writer touches.
type disk struct {
	active   file // the segment being written, the last one; nil: the next write makes one
	size     int64
	names    bool // a name was made or removed since the folder was synced
	unsynced int64
	due      time.Time // of the next sync; zero: nothing to sync
	position file
	saved    position // what the position file holds
	synced   position // and what of it is there for sure
	last     uint64   // the last record that was written to disk
	free     uint64   // a segment of this name holds nothing of worth
	scratch  []byte
}

// run is the writer: one round after another until Close.
func (o *Outbox) run() {
	defer close(o.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var err error
		select {
		case <-o.closing:
			_ = o.round(true) // noted; Close reports it
			o.letGo()
			return
		case answer := <-o.flush:
			err = o.round(true)
			answer <- err
		case <-o.wake:
			err = o.round(false)
		case <-timer.C:
			err = o.round(false)
		}
		timer.Reset(o.rest(err))
	}
}

// rest is how long the writer may sleep when nobody wakes it.
func (o *Outbox) rest(err error) time.Duration {
	switch {
	case err != nil:
		return retryEvery
	case !o.disk.due.IsZero():
		return max(time.Until(o.disk.due), 0)
	}
	return lookEvery
}

// round does all there is to do once: read the folder if that is still due, write, sync, save the position, let go of the settled.
func (o *Outbox) round(flush bool) error {
	err := o.load()
	if err == nil {
		flush = flush || (!o.disk.due.IsZero() && !time.Now().Before(o.disk.due))
		err = o.store(flush)
		err = errors.Join(err, o.save(flush), o.trim(err))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.faults.note(o.settings.Folder, err)
	o.dropping = o.dropping && (err != nil || onDisk(o.segments) > o.settings.MostBytes/2)
	o.roundErr = err
	return err
}

// store writes what is only in memory and syncs it when that is due. After a failure the segment is given up: what was not synced is
// still in memory and is written again, to the next one.
func (o *Outbox) store(flush bool) error {
	err := o.write()
	if err == nil {
		err = o.sync(flush)
	}
	if err != nil {
		o.abandon()
	}
	return err
}

func (o *Outbox) write() error {
	for {
		if o.fullSegment() {
			if err := o.retire(); err != nil {
				return err
			}
		}
		batch := o.claim()
		if len(batch) == 0 {
			return nil
		}
		if err := o.writeBatch(batch); err != nil {
			return err
		}
	}
}

// fullSegment also reports one that spans too much time, for age drops whole segments.
func (o *Outbox) fullSegment() bool {
	if o.disk.active == nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	spans := o.since(o.segments[len(o.segments)-1].madeMs)
	return o.disk.size >= o.settings.segmentBytes() || spans > o.settings.MostAge/8
}

// claim numbers a batch of what is not written yet.
func (o *Outbox) claim() []Record {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.disk.active == nil { // within a segment no number may be missing
		o.forgetSettled(len(o.pending))
	}
	from := o.claimed
	for bytes := 0; o.claimed < len(o.pending) && bytes < batchBytes; o.claimed++ {
		record := &o.pending[o.claimed]
		record.Seq = o.base + uint64(o.claimed)
		bytes += record.bytes()
	}
	return append([]Record(nil), o.pending[from:o.claimed]...)
}

// forgetSettled lets go of what was acknowledged already, among the first `most` in memory. The writer calls it between writes.
func (o *Outbox) forgetSettled(most int) {
	settled := 0
	for settled < most && o.base+uint64(settled) <= o.position.settled {
		settled++
	}
	o.forget(settled)
}

// forget takes events from the front of memory.
func (o *Outbox) forget(events int) {
	for _, record := range o.pending[:events] {
		o.memory -= record.bytes()
	}
	o.base += uint64(events)
	o.claimed = max(o.claimed-events, 0)
	clear(o.pending[:events])
	o.pending = o.pending[events:]
}

func (o *Outbox) writeBatch(batch []Record) error {
	d := &o.disk
	if d.active == nil {
		if err := o.begin(batch[0].Seq); err != nil {
			return err
		}
	}
	d.scratch = d.scratch[:0]
	for i := range batch {
		d.scratch = batch[i].encode(d.scratch)
	}
	if _, err := d.active.WriteAt(d.scratch, d.size); err != nil {
		return err
	}
	d.size += int64(len(d.scratch))
	d.unsynced += int64(len(d.scratch))
	d.last = batch[len(batch)-1].Seq
	o.startClock()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.segments[len(o.segments)-1].bytes = d.size
	o.newestMs = batch[len(batch)-1].RunningMs
	return nil
}

// startClock makes a sync due, if none is.
func (o *Outbox) startClock() {
	if o.disk.due.IsZero() {
		o.disk.due = time.Now().Add(o.settings.SyncEvery)
	}
}

// begin makes a segment for this record and those behind it.
func (o *Outbox) begin(first uint64) error {
	if first != o.disk.last+1 { // those between were acknowledged from memory; it must be known before the gap is there
		if err := o.saveForSure(); err != nil {
			return err
		}
	}
	if err := o.files.prepare(); err != nil {
		return err
	}
	o.mu.Lock()
	made := segment{first: first, bytes: segmentHeader, madeMs: o.runningMs()}
	o.mu.Unlock()
	active, err := o.files.create(made.name(), o.disk.free == first)
	if err != nil {
		return appeared(err)
	}
	o.disk.free = first
	if _, err := active.WriteAt(made.header(), 0); err != nil {
		return errors.Join(err, active.Close())
	}
	o.disk.active, o.disk.size, o.disk.names = active, segmentHeader, true
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.segments); n > 0 && o.segments[n-1].first == first { // the same name again, with nothing sound in it
		o.segments = o.segments[:n-1]
	}
	o.segments = append(o.segments, made)
	return nil
}

// appeared explains a segment that was not there when the folder was read.
func appeared(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("another disk was mounted over the outbox's folder, start the daemon again: %w", err)
	}
	return err
}

// sync makes what is written last, and then forgets it in memory. A burst that would fill memory is not kept waiting for its time.
func (o *Outbox) sync(flush bool) error {
	d := &o.disk
	if wanted := flush || d.unsynced >= int64(o.settings.MemoryBytes/4); !wanted || d.active == nil || o.nothingClaimed() {
		return nil
	}
	if err := d.active.Sync(); err != nil {
		return err
	}
	if d.names {
		if err := o.files.sync(); err != nil {
			return err
		}
		d.names = false
	}
	d.unsynced = 0
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(o.claimed)
	return nil
}

// nothingClaimed reports that a sync would be for nothing: the broker was faster.
func (o *Outbox) nothingClaimed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forgetSettled(o.claimed)
	if o.claimed == 0 {
		o.disk.unsynced = 0
	}
	return o.claimed == 0
}

// retire ends the active segment in order.
func (o *Outbox) retire() error {
	if o.disk.active == nil {
		return nil
	}
	if err := o.sync(true); err != nil {
		return err
	}
	active := o.disk.active
	o.disk.active = nil
	return active.Close()
}

// abandon ends the active segment after a failure. What of it was synced stays.
func (o *Outbox) abandon() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.claimed = 0
	o.disk.unsynced = 0
	if o.disk.active == nil {
		return
	}
	_ = o.disk.active.Close() // the failure is reported, and nothing in it is relied on
	o.disk.active = nil
	if n := len(o.segments); o.segments[n-1].first == o.base {
		o.segments = o.segments[:n-1] // nothing was synced; the next one has the same name
	}
	o.disk.last = o.base - 1
}

// letGo closes all files.
func (o *Outbox) letGo() {
	for _, open := range []file{o.disk.active, o.disk.position} {
		if open != nil {
			_ = open.Close() // synced before, or reported as failed
		}
	}
	_ = o.files.close()
}
