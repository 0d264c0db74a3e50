// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"visavis/capture/internal/state"
)

const (
	retryEvery = time.Second      // while the disk cannot be used
	lookEvery  = time.Minute      // for events that grew too old
	countEvery = 10 * time.Minute // how much of an age a kill may cost; a card is not to be written more often for that
	storeTries = 3                // of one segment, or of the position file
)

// disk is what only the writer touches.
type disk struct {
	active    file  // the segment being written, the last one; nil: the next write makes one
	size      int64 // of the active segment
	tries     int   // failures of it in a row
	unread    int   // how often the folder could not be read for a part that the disk has lost
	names     bool  // a name was made or removed since the folder was synced
	unsynced  int64
	due       time.Time // of the next sync; zero: nothing to sync
	position  file
	lost      int       // how often in a row the disk has lost the position file
	saved     position  // what the position file holds
	synced    position  // and what of it is there for sure
	ending    bool      // no round comes behind this one
	last      uint64    // the last record that was written to disk
	inherited []segment // made by other processes, which may not have synced them
	free      uint64    // a segment of this name holds nothing of worth
	stray     string    // a file that a full disk left without a header; "": none
	scratch   []byte
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
			o.lastRound()
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

// lastRound leaves nothing undone. What fails is noted, and Close reports it.
func (o *Outbox) lastRound() {
	o.disk.ending = true
	_ = o.round(true)
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
	o.dropAged()
	if err == nil {
		flush = flush || (!o.disk.due.IsZero() && !time.Now().Before(o.disk.due))
		err = o.store(flush)
		err = errors.Join(err, o.save(flush), o.trim(err))
	}
	o.fault.Note(err)
	if o.beginsToDrop(err) {
		slog.Warn("outbox full, dropping the oldest events", "folder", o.settings.Folder)
	}
	return err
}

// beginsToDrop keeps the outcome of a round, and tells whether it is the first of a row in which events were dropped. The caller says
// so without the mutex: whoever reads our log may hang, and Append must not.
func (o *Outbox) beginsToDrop(err error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	dropped, before := o.position.dropped > o.saidDropped, o.dropping
	crowded := err != nil || onDisk(o.segments) > o.settings.MostBytes/2
	o.roundErr, o.saidDropped, o.dropping = err, o.position.dropped, (before || dropped) && crowded
	return dropped && !before
}

// store writes what is only in memory and syncs it when that is due. After a failure all that was not synced is written again to the
// same place: a failed sync may have lost any of it, and what is left of it must survive a kill until then.
func (o *Outbox) store(flush bool) error {
	err := o.write()
	if err == nil {
		err = o.sync(flush)
	}
	if err == nil {
		o.disk.tries = 0
		return nil
	}
	if abandoned := o.failed(err); abandoned != nil {
		_ = abandoned.Close() // the failure is reported, and nothing in it is relied on
	}
	return err
}

// failed notes that a segment was not stored. What it returns is to be closed; nil: nothing.
func (o *Outbox) failed(err error) (abandoned file) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.claimed = 0
	o.disk.unsynced = 0
	if kind := state.KindOf(err); kind == state.Failing || kind == state.Other || o.memory > o.settings.MemoryBytes/2 {
		o.disk.tries++ // a full or locked disk may take the rest of the segment later, as long as memory has room for what it holds
	}
	if o.disk.tries == storeTries {
		return o.abandon()
	}
	return nil
}

func (o *Outbox) write() error {
	for {
		if o.fullSegment() {
			if err := o.retire(); err != nil {
				return err
			}
		}
		batch, at := o.claim()
		if len(batch) == 0 {
			return nil
		}
		if err := o.writeBatch(batch, at); err != nil {
			return err
		}
		if o.disk.unsynced < o.quarter() {
			continue
		}
		if err := o.sync(true); err != nil {
			return err
		}
	}
}

// quarter of memory is the most of a batch, and what is synced before its time: so at least half of memory can always be given up for
// newer events.
func (o *Outbox) quarter() int64 { return int64(min(o.settings.MemoryBytes/4, 1<<20)) }

// fullSegment also reports one that spans too much time, for age drops whole segments.
func (o *Outbox) fullSegment() bool {
	if o.disk.active == nil {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.claimed < o.written { // what failed comes first
		return false
	}
	spans := o.since(o.segments[len(o.segments)-1].madeMs)
	return o.disk.size >= o.settings.segmentBytes() || spans > o.settings.mostSpan()
}

// claim numbers a batch of what is not written yet, and says where in the active segment it goes. What waited for the disk may be of many
// days: the batch ends with what its segment may span.
func (o *Outbox) claim() (batch []Record, at int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.disk.active == nil { // within a segment no number may be missing
		o.forgetSettled(len(o.pending))
		o.offset = segmentHeader
	}
	from, at := o.claimed, o.offset
	for i := range o.pending[:from] {
		at += int64(o.pending[i].bytes())
	}
	for bytes := 0; o.claimed < len(o.pending) && bytes < int(o.quarter()) && o.fitsBatch(from); o.claimed++ {
		record := &o.pending[o.claimed]
		record.Seq = o.base + uint64(o.claimed)
		bytes += record.bytes()
	}
	return append(batch, o.pending[from:o.claimed]...), at
}

// fitsBatch tells whether the next record may go into the same segment as the batch's first one.
func (o *Outbox) fitsBatch(first int) bool {
	beganMs := o.pending[first].RunningMs
	if o.disk.active != nil {
		beganMs = o.segments[len(o.segments)-1].madeMs
	}
	spans := time.Duration(o.pending[o.claimed].RunningMs-beganMs) * time.Millisecond
	return o.claimed == first || spans <= o.settings.mostSpan()
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
	for i, record := range o.pending[:events] {
		o.memory -= record.bytes()
		if i < o.written {
			o.offset += int64(record.bytes())
		}
	}
	o.base += uint64(events)
	o.claimed, o.written = max(o.claimed-events, 0), max(o.written-events, 0)
	clear(o.pending[:events])
	o.pending = o.pending[events:]
}

func (o *Outbox) writeBatch(batch []Record, at int64) error {
	d := &o.disk
	if d.active == nil {
		if err := o.begin(&batch[0]); err != nil {
			return err
		}
	}
	d.scratch = d.scratch[:0]
	for i := range batch {
		d.scratch = batch[i].encode(d.scratch)
	}
	if _, err := d.active.WriteAt(d.scratch, at); err != nil {
		return err
	}
	d.size = max(d.size, at+int64(len(d.scratch)))
	d.unsynced += int64(len(d.scratch))
	d.last = batch[len(batch)-1].Seq
	o.startClock()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.segments[len(o.segments)-1].bytes = d.size
	o.written = max(o.written, o.claimed)
	return nil
}

// startClock makes a sync due, if none is.
func (o *Outbox) startClock() {
	if o.disk.due.IsZero() {
		o.disk.due = time.Now().Add(o.settings.SyncEvery)
	}
}

// begin makes a segment for this record and those behind it. It is as old as the record, which may have waited in memory for the disk.
func (o *Outbox) begin(oldest *Record) error {
	first := oldest.Seq
	if err := o.saveBefore(first); err != nil {
		return err
	}
	if err := o.files.prepare(); err != nil {
		return err
	}
	made := segment{first: first, bytes: segmentHeader, madeMs: oldest.RunningMs}
	if o.disk.stray != "" && o.disk.stray != made.name() {
		_ = o.files.remove(o.disk.stray) // there may be one for each event
	}
	o.disk.stray = ""
	active, err := o.files.create(made.name(), o.disk.free == first)
	if err != nil {
		return appeared(err)
	}
	o.disk.free = first
	if _, err := active.WriteAt(made.header(), 0); err != nil {
		o.disk.stray = made.name()
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

// sync makes what is written last, and then forgets it in memory.
func (o *Outbox) sync(flush bool) error {
	d := &o.disk
	if !flush {
		return nil
	}
	if err := errors.Join(o.syncInherited(), o.syncNames()); err != nil {
		return err
	}
	if d.active == nil || o.nothingClaimed() {
		return nil
	}
	if err := d.active.Sync(); err != nil {
		return err
	}
	d.unsynced = 0
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forget(o.claimed)
	return nil
}

// syncInherited makes that last what the processes before us wrote: those that were killed may not have come to it.
func (o *Outbox) syncInherited() error {
	d := &o.disk
	for len(d.inherited) > 0 {
		left, _, err := o.files.open(d.inherited[0].name())
		if err == nil {
			err = errors.Join(left.Sync(), left.Close())
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		d.inherited = d.inherited[1:]
	}
	return nil
}

func (o *Outbox) syncNames() error {
	if !o.disk.names {
		return nil
	}
	err := o.files.sync()
	o.disk.names = err != nil
	return err
}

// nothingClaimed reports that a sync would be for nothing: the broker was faster.
func (o *Outbox) nothingClaimed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forgetSettled(max(o.claimed, o.written))
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
	return o.leaveActive().Close()
}

// leaveActive takes the active segment's file. It is closed without the mutex: over a network that may wait for the server for ever, and
// Append must not.
func (o *Outbox) leaveActive() (active file) {
	o.mu.Lock()
	defer o.mu.Unlock()
	active, o.disk.active, o.written = o.disk.active, nil, 0
	return active
}

// abandon ends an active segment that fails again and again: another place on the disk may be better, and only without one may what was
// acknowledged leave memory. What of it was synced stays. The caller closes what it returns without the mutex; nil: there was none.
func (o *Outbox) abandon() (active file) {
	o.disk.tries, o.written = 0, 0
	if o.disk.active == nil {
		return nil
	}
	active, o.disk.active = o.disk.active, nil
	if n := len(o.segments); o.segments[n-1].first == o.base {
		o.segments = o.segments[:n-1] // nothing was synced; the next one has the same name
	}
	o.disk.last = o.base - 1
	return active
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
