// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"errors"
	"io/fs"
	"time"

	"visavis/capture/internal/state"
)

// save writes the position if it has moved, and syncs it when a sync is due.
func (o *Outbox) save(flush bool) error {
	d := &o.disk
	if now, moved := o.positionNow(); moved {
		if err := o.writePosition(now); err != nil {
			return err
		}
		o.startClock()
	}
	if !flush {
		return nil
	}
	if err := o.syncPosition(); err != nil {
		return err
	}
	d.due = time.Time{}
	return nil
}

func (o *Outbox) syncPosition() error {
	d := &o.disk
	if d.synced == d.saved {
		return nil
	}
	if d.position == nil { // another process wrote what is saved
		if err := o.openPosition(d.saved); err != nil {
			return err
		}
	}
	if err := d.position.Sync(); err != nil {
		return o.leavePosition(err)
	}
	d.synced, d.lost = d.saved, 0
	return nil
}

// leavePosition closes the position file after a failure: what is opened next may be another disk. Nothing counts as saved.
func (o *Outbox) leavePosition(why error) error {
	o.countLost(why)
	err := errors.Join(why, o.disk.position.Close())
	o.disk.position = nil
	o.disk.saved = position{generation: o.disk.saved.generation}
	return err
}

func (o *Outbox) countLost(err error) {
	if state.IsLost(err) {
		o.disk.lost++
	}
}

// saveForSure writes and syncs the position: before what it says is relied on by removing something.
func (o *Outbox) saveForSure() error {
	if now, moved := o.positionNow(); moved {
		if err := o.writePosition(now); err != nil {
			return err
		}
	}
	return o.syncPosition()
}

// positionNow is what is to be saved, and whether that must be: if it has moved, if there are segments and nothing was ever saved, or if
// the age of what waits would be lost.
func (o *Outbox) positionNow() (now position, moved bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now = o.position
	saved := o.disk.saved
	now.generation, now.runningMs = saved.generation, saved.runningMs
	if !o.disk.everSaved() {
		saved.owner = now.owner // of nothing yet
	}
	moved = now != saved || (!o.disk.everSaved() && len(o.segments) > 0) || o.losesAge()
	if moved {
		now.runningMs = o.runningMs()
	}
	return now, moved
}

// losesAge reports that something waits on disk whose age was not saved for long. No other event may come that would tell it to the next
// process, and then what waits would never grow too old.
func (o *Outbox) losesAge() bool {
	unsaved := o.since(o.disk.saved.runningMs)
	waits := len(o.segments) > 0 && o.position.settled+1 < o.base
	return waits && (unsaved >= countEvery || (o.disk.ending && unsaved > 0))
}

// everSaved tells that there is a position file, so that saving needs no more room.
func (d *disk) everSaved() bool { return d.saved.generation > 0 }

// saveBefore saves what must be known before a segment is made that begins with this record.
func (o *Outbox) saveBefore(first uint64) error {
	if first != o.disk.last+1 { // those between were acknowledged from memory; it must be known before the gap is there
		return o.saveForSure()
	}
	if !o.disk.everSaved() { // segments may fill the disk, and to remove one there must be a position file
		now, _ := o.positionNow()
		return o.writePosition(now)
	}
	return nil
}

func (o *Outbox) writePosition(p position) error {
	d := &o.disk
	p.generation++
	if d.position == nil {
		if err := o.openPosition(p); err != nil {
			return err
		}
	}
	if _, err := d.position.WriteAt(p.slot(), p.offset()); err != nil {
		return o.leavePosition(err)
	}
	d.saved = p
	o.mu.Lock()
	defer o.mu.Unlock()
	o.saved, o.unsavedGoes = p.settled, false
	nudge(o.ready)
	return nil
}

// openPosition opens the position file for writing, and makes it if there is none.
func (o *Outbox) openPosition(p position) error {
	if err := errors.Join(o.files.prepare(), o.removeLost()); err != nil {
		return err
	}
	opened, err := o.files.update(positionName)
	if errors.Is(err, fs.ErrNotExist) {
		if err := o.files.replace(positionName, p.file()); err != nil {
			return err
		}
		opened, err = o.files.update(positionName)
	}
	if err != nil {
		o.countLost(err)
		return err
	}
	o.disk.position = opened
	return nil
}

// removeLost gives up a position file that the disk has lost, so that another is made: another place on the disk may be better, and as
// long as no position can be saved, nothing that is settled may go.
func (o *Outbox) removeLost() error {
	if o.disk.lost < storeTries {
		return nil
	}
	if err := o.files.remove(positionName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	o.disk.lost = 0
	return nil
}

// trim removes segments: those that are settled, then the oldest ones while a cap is passed. stored is what writing came to: a disk
// that is full while memory fills up costs the oldest segment.
func (o *Outbox) trim(stored error) error {
	pressed := stored != nil && state.KindOf(stored) == state.Full && o.memoryFills()
	for {
		if err := o.removeSettled(); err != nil {
			return err
		}
		if !pressed && !o.passesCap() {
			return nil
		}
		pressed = false
		if dropped, err := o.dropOldest(); err != nil || !dropped {
			return err
		}
	}
}

func (o *Outbox) memoryFills() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.memory > o.settings.MemoryBytes/2
}

// oldest returns the first segment and the number of its last record; ok is false if there is none, or it is still written.
func (o *Outbox) oldest() (s segment, end uint64, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.segments) == 0 || (len(o.segments) == 1 && o.disk.active != nil) {
		return segment{}, 0, false
	}
	if len(o.segments) == 1 {
		return o.segments[0], o.base - 1, true
	}
	return o.segments[0], o.segments[1].first - 1, true
}

func (o *Outbox) settled() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.position.settled
}

func (o *Outbox) removeSettled() error {
	for {
		s, end, ok := o.oldest()
		if !ok || end > o.settled() {
			return nil
		}
		if err := o.removeOldest(s); err != nil {
			return err
		}
	}
}

// removeOldest saves that a segment is settled and then removes it. Where even the position finds no room, since there is no file yet or
// its file system needs space to write in place, the segment makes it: a kill in between costs the count, but no event.
func (o *Outbox) removeOldest(oldest segment) error {
	err := o.saveForSure()
	if err != nil && state.KindOf(err) != state.Full {
		return err
	}
	if removed := o.remove(oldest); removed != nil || err == nil {
		return removed
	}
	return o.saveForSure()
}

func (o *Outbox) remove(oldest segment) error {
	if err := o.files.remove(oldest.name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	o.disk.names = true
	o.mu.Lock()
	defer o.mu.Unlock()
	o.segments = o.segments[1:]
	return nil
}

// passesCap reports whether the oldest segment must go: too many bytes, or too old.
func (o *Outbox) passesCap() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if onDisk(o.segments) > o.settings.MostBytes {
		return true
	}
	return len(o.segments) > 0 && o.since(o.segments[0].madeMs) > o.settings.MostAge // that of its first event: none waits for longer
}

// dropAged gives up what grew too old in memory, where it waits for a disk that takes nothing.
func (o *Outbox) dropAged() {
	o.mu.Lock()
	defer o.mu.Unlock()
	aged := 0
	for aged < len(o.pending) && o.since(o.pending[aged].RunningMs) > o.settings.MostAge {
		aged++
	}
	if !o.loaded {
		for range aged {
			o.dropFromMemory()
		}
		return
	}
	if end := o.base + uint64(aged) - 1; aged > 0 && end > o.position.settled {
		o.position.dropped += o.settleUpTo(end)
	}
}

// since is the running time since an instant of running time.
func (o *Outbox) since(ms uint64) time.Duration {
	now := o.runningMs()
	return time.Duration(now-min(ms, now)) * time.Millisecond
}

// dropOldest settles the oldest segment as dropped. It is counted before it is removed, so that a kill cannot lose the count.
func (o *Outbox) dropOldest() (dropped bool, err error) {
	if err := o.retireOnly(); err != nil {
		return false, err
	}
	_, end, ok := o.oldest()
	if !ok {
		return false, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if end > o.position.settled {
		o.position.dropped += o.settleUpTo(end)
	}
	return true, nil
}

// retireOnly retires the active segment if it is the only one.
func (o *Outbox) retireOnly() error {
	o.mu.Lock()
	only := len(o.segments) == 1 && o.segments[0].first < o.base
	o.mu.Unlock()
	if !only {
		return nil
	}
	return o.retire()
}

func onDisk(segments []segment) (bytes int64) {
	for _, s := range segments {
		bytes += s.onDisk()
	}
	return bytes
}
