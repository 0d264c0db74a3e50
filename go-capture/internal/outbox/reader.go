// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"time"
)

// readTries is how often a stretch of disk that cannot be read is tried before the rest of its segment counts as corrupt.
const readTries = 3

// cursor is where the reader is on disk.
type cursor struct {
	file  file // nil: nowhere
	first uint64
	scan  scanner
	tries int
}

func (c *cursor) close() {
	if c.file != nil {
		_ = c.file.Close() // it was only read
	}
	c.file = nil
}

// Next hands out the next record in order once the window has room, and waits for it until ctx ends.
func (o *Outbox) Next(ctx context.Context) (Record, error) {
	for {
		record, found, err := o.take()
		if found {
			return record, nil
		}
		var retry <-chan time.Time
		if err != nil {
			slog.Warn("outbox cannot read its disk, trying again", "folder", o.settings.Folder, "error", err)
		}
		if err != nil || o.waitsForSave() {
			retry = time.After(retryEvery)
		}
		select {
		case <-ctx.Done():
			return Record{}, ctx.Err()
		case <-o.ready:
		case <-retry:
			o.goOnUnsaved()
		}
	}
}

// waitsForSave reports that the next record waits for the position to be saved. So at most a window comes again after a kill, however
// fast the broker is. A disk that hangs must not stop deliveries, though: after a while they go on without.
func (o *Outbox) waitsForSave() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.farFromSaved() && o.next <= o.last()
}

func (o *Outbox) farFromSaved() bool {
	return o.loaded && !o.unsavedGoes && o.next > o.saved+uint64(o.settings.Window)
}

func (o *Outbox) goOnUnsaved() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unsavedGoes = true
}

// Rewind makes everything that is not acknowledged come again: for a new connection.
func (o *Outbox) Rewind() {
	o.cursor.close()
	o.mu.Lock()
	defer o.mu.Unlock()
	clear(o.inFlight)
	o.gap = false
	o.next = o.position.settled + 1
	nudge(o.ready)
}

// take hands out a record if there is one and the window has room.
func (o *Outbox) take() (Record, bool, error) {
	for {
		seq, fromDisk, ok := o.wanted()
		if !ok {
			return Record{}, false, nil
		}
		var record Record
		if !fromDisk {
			record, ok = o.fromMemory(seq)
		} else {
			found, err := o.fetch(seq)
			if err != nil {
				return Record{}, false, err
			}
			record, ok = o.fromDisk(seq, found)
		}
		if ok {
			return record, true, nil
		}
	}
}

// wanted is the number that is due now.
func (o *Outbox) wanted() (seq uint64, fromDisk, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.loaded || len(o.inFlight) >= o.settings.Window || (o.gap && len(o.inFlight) > 0) || o.farFromSaved() {
		return 0, false, false
	}
	for {
		if _, done := o.above[o.next]; !done {
			break
		}
		o.next++
	}
	return o.next, o.next < o.base, o.next <= o.last()
}

// fromMemory hands out a record that the disk does not have for sure.
func (o *Outbox) fromMemory(seq uint64) (Record, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if seq < o.base || seq > o.last() || seq != o.next {
		return Record{}, false // it went to disk, or was dropped, this instant
	}
	record := o.pending[seq-o.base]
	record.Seq = seq
	o.handOut(seq)
	return record, true
}

func (o *Outbox) handOut(seq uint64) {
	o.inFlight[seq] = struct{}{}
	o.next = seq + 1
}

// fromDisk hands out what was found at or behind seq; Seq 0 stands for nothing.
func (o *Outbox) fromDisk(seq uint64, found Record) (Record, bool) {
	o.mu.Lock()
	if o.next == seq && found.Seq == seq {
		defer o.mu.Unlock()
		o.handOut(seq)
		return found, true
	}
	lost := uint64(0)
	if o.next == seq { // else it was dropped meanwhile
		lost = o.lose(found.Seq)
	}
	o.mu.Unlock()
	o.cursor.close() // it has passed what will be wanted; without the mutex, for a disk may hang in it and Append must not
	if lost > 0 {
		slog.Warn("outbox lost events to damage on its disk", "folder", o.settings.Folder, "events", lost)
	}
	return Record{}, false
}

// lose settles the numbers that are missing on disk before `found`, once everything before them is settled. 0: nothing was found.
func (o *Outbox) lose(found uint64) (lost uint64) {
	o.gap = len(o.inFlight) > 0
	if o.gap {
		return 0
	}
	if found == 0 {
		found = o.base
	}
	lost = o.settleUpTo(found - 1)
	o.position.corrupt += lost
	nudge(o.wake)
	return lost
}

// fetch finds the first record on disk from seq on; Seq 0 when there is none below base.
func (o *Outbox) fetch(seq uint64) (Record, error) {
	for {
		s, below, ok := o.segmentOf(seq)
		if !ok {
			return Record{}, nil
		}
		record, err := o.scanFor(seq, s, below)
		switch {
		case err == nil && record.Seq != 0:
			return record, nil
		case err == nil:
			seq = below
		case errors.Is(err, fs.ErrNotExist): // dropped this instant, which the caller sees, or taken away
			seq = below
		default:
			o.cursor.close()
			if o.cursor.tries++; o.cursor.tries < readTries {
				return Record{}, err
			}
			seq = below
		}
		o.cursor.tries = 0
	}
}

// segmentOf returns the segment that holds seq, or else the first one behind it, and below which number its records count.
func (o *Outbox) segmentOf(seq uint64) (s segment, below uint64, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, s := range o.segments {
		below = o.base
		if i+1 < len(o.segments) {
			below = min(o.segments[i+1].first, o.base)
		}
		if seq < below {
			return s, below, true
		}
	}
	return segment{}, 0, false
}

// scanFor reads on in a segment to the first record from seq on; Seq 0 when it holds none below `below`.
func (o *Outbox) scanFor(seq uint64, s segment, below uint64) (Record, error) {
	c := &o.cursor
	if err := o.place(s); err != nil {
		return Record{}, err
	}
	for {
		at := c.scan.offset
		record, err := c.scan.next()
		switch {
		case errors.Is(err, io.EOF):
			return Record{}, nil
		case err != nil:
			return Record{}, err
		case record.Seq >= below:
			c.scan.offset = at // it counts later, or is written again in the next segment
			return Record{}, nil
		case record.Seq >= seq:
			return record, nil
		}
	}
}

// place puts the cursor into a segment, at its beginning unless it is there already.
func (o *Outbox) place(s segment) error {
	c := &o.cursor
	if c.file != nil && c.first == s.first {
		c.scan.size = s.bytes
		return nil
	}
	c.close()
	from, _, err := o.files.open(s.name())
	if err != nil {
		return err
	}
	c.file, c.first, c.scan = from, s.first, scanner{from: from, offset: segmentHeader, size: s.bytes}
	return nil
}
