// SPDX-License-Identifier: Apache-2.0

package history

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"visavis/capture/internal/state"
)

const (
	retryEvery = time.Second // while the disk cannot be used
	syncAfter  = time.Second // how much a power cut may cost
	lookEvery  = time.Minute // for events that grew too old, in memory too
	mostBatch  = 256         // events written at once
)

// disk is what only the writer touches.
type disk struct {
	folder *os.File // locked; nil until it could be
	loaded bool
	active *os.File  // the last segment; nil: the next write opens one
	torn   bool      // it may end within a line
	due    time.Time // of the next sync; zero: nothing to sync
}

// run is the writer: one round after another until Close.
func (h *History) run() {
	defer close(h.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var err error
		select {
		case <-h.closing:
			_ = h.round(true) // told in the log
			h.letGo()
			return
		case <-h.wake:
			err = h.round(false)
		case <-timer.C:
			err = h.round(false)
		}
		timer.Reset(h.rest(err))
	}
}

// rest is how long the writer may sleep when nobody wakes it.
func (h *History) rest(err error) time.Duration {
	switch {
	case err != nil:
		return retryEvery
	case !h.disk.due.IsZero():
		return max(time.Until(h.disk.due), 0)
	}
	return lookEvery
}

// round does all there is to do once, and tells of a fault when it begins and when it is over.
func (h *History) round(flush bool) error {
	h.forgetOld()
	if h.settings.Folder == "" {
		return nil
	}
	h.leaveRemoved()
	err := h.load()
	if err == nil {
		err = errors.Join(h.keep(flush), h.trim()) // what is too old goes also while nothing can be written: it makes room
	}
	h.fault.Note(err)
	return err
}

func (h *History) keep(flush bool) error {
	if err := h.write(); err != nil {
		return err
	}
	return h.sync(flush)
}

// load locks the folder and reads what is in it, once.
func (h *History) load() error {
	if h.disk.loaded {
		return nil
	}
	if err := h.lock(); err != nil {
		return err
	}
	found, err := segmentsIn(h.settings.Folder)
	if err != nil {
		return err
	}
	last := ""
	if n := len(found); n > 0 {
		if last, err = h.newestIn(&found[n-1]); err != nil {
			return err
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.segments, h.last, h.disk.loaded, h.listed = found, max(h.last, last), true, true
	h.unwritten = min(h.unwritten, upTo(h.recent, last)) // somebody may have removed what was written
	return nil
}

// upTo counts the entries up to an id.
func upTo(entries []Entry, last string) int {
	above := slices.IndexFunc(entries, func(e Entry) bool { return e.ID > last })
	if above < 0 {
		return len(entries)
	}
	return above
}

// leaveRemoved lets go of a segment that somebody removed, alone or with its folder: what is written there is never found again. The
// folder is read anew, and gets what memory still has.
func (h *History) leaveRemoved() {
	if h.disk.active == nil {
		return
	}
	about, err := h.disk.active.Stat()
	if err != nil {
		return // writing will tell
	}
	if there, known := about.Sys().(*syscall.Stat_t); !known || there.Nlink > 0 {
		return
	}
	slog.Warn("somebody removed what the history had written, it begins anew with what is in memory", "folder", h.settings.Folder)
	_ = h.disk.active.Close() // whatever is in it
	h.disk.active = nil
	_ = h.lockAgain() // only locked: nothing can be lost
}

// newestIn is the newest id in a segment. One of which the disk has lost a part counts as full: what came behind that part would never
// be read.
func (h *History) newestIn(s *segment) (last string, err error) {
	last = s.first
	err = scanFile(h.settings.Folder, *s, func(e Entry) bool { last = max(last, e.ID); return true })
	if !state.IsLost(err) {
		return last, err
	}
	slog.Warn("history goes on behind what its disk cannot read", "folder", h.settings.Folder, "segment", s.name(), "error", err)
	s.bytes = h.settings.segmentBytes()
	return last, nil
}

func (h *History) lock() (err error) {
	if h.disk.folder == nil {
		h.disk.folder, err = state.Lock(h.settings.Folder)
	}
	return err
}

// write writes all that is only in memory. What a failure leaves behind is written again; readers know by the id.
func (h *History) write() error {
	for {
		batch := h.batch()
		if len(batch) == 0 {
			return nil
		}
		if err := h.place(batch[0].ID); err != nil {
			return err
		}
		if err := h.writeBatch(h.ofOneSpan(batch)); err != nil {
			return err
		}
	}
}

// ofOneSpan are those of a batch that go into the segment to write to: after a disk that was away for days the others begin one of their
// own, or they would go with the oldest.
func (h *History) ofOneSpan(batch []Entry) []Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, first := h.wall(), madeAt(h.segments[len(h.segments)-1].first)
	for i, e := range batch[1:] {
		if made := madeAt(e.ID); made.Sub(first) > h.settings.mostSpan() && !made.After(now) {
			return batch[:i+1]
		}
	}
	return batch
}

func (h *History) batch() []Entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Entry(nil), h.recent[h.unwritten:min(h.unwritten+mostBatch, len(h.recent))]...)
}

// place makes sure that there is a segment to write to, which a new one is if the last is full or spans too much time. After the clock
// was ahead, ids go on from there and tell nothing about time.
func (h *History) place(next string) error {
	h.mu.Lock()
	now := h.wall()
	fresh := segment{first: next, begun: now, written: now}
	s := fresh
	if n := len(h.segments); n > 0 {
		s = h.segments[n-1]
	}
	h.mu.Unlock()
	spans := madeAt(next).Sub(madeAt(s.first))
	if madeAt(next).After(now) {
		spans = now.Sub(s.begun)
	}
	if s.bytes >= h.settings.segmentBytes() || spans > h.settings.mostSpan() {
		if err := h.retire(); err != nil {
			return err
		}
		s = fresh
	}
	if h.disk.active != nil {
		return nil
	}
	return h.open(s)
}

// open goes on in a segment, or makes it. One of an earlier process may be torn.
func (h *History) open(s segment) error {
	opened, err := os.OpenFile(filepath.Join(h.settings.Folder, s.name()), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, h.lockAgain())
	}
	if err != nil {
		return err
	}
	h.disk.active, h.disk.torn = opened, s.bytes > 0
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.segments); n == 0 || h.segments[n-1].first != s.first {
		h.segments = append(h.segments, s)
	}
	return nil
}

// lockAgain is for a folder that somebody removed: the next round makes it anew.
func (h *History) lockAgain() error {
	err := h.disk.folder.Close()
	h.disk.folder, h.disk.loaded = nil, false
	return err
}

func (h *History) writeBatch(batch []Entry) error {
	var lines []byte
	if h.disk.torn {
		lines = append(lines, '\n')
	}
	for _, e := range batch {
		lines = e.appendLine(lines)
	}
	n, err := h.disk.active.Write(lines)
	h.disk.torn = false
	if err != nil { // opened again by the next round: whatever it failed on may have been replaced
		err = errors.Join(err, h.disk.active.Close())
		h.disk.active = nil
	}
	if h.disk.due.IsZero() {
		h.disk.due = time.Now().Add(syncAfter)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	last := &h.segments[len(h.segments)-1]
	last.bytes, last.written = last.bytes+int64(n), h.wall()
	if err != nil {
		return err
	}
	h.written(batch[len(batch)-1].ID)
	return nil
}

// written notes that everything up to an id is on disk. Meanwhile memory may have forgotten some of it.
func (h *History) written(last string) {
	for h.unwritten < len(h.recent) && h.recent[h.unwritten].ID <= last {
		h.unwritten++
	}
	h.forget()
}

func (h *History) sync(flush bool) error {
	if h.disk.active == nil { // what was in it is written again
		h.disk.due = time.Time{}
		return nil
	}
	if h.disk.due.IsZero() || (!flush && time.Now().Before(h.disk.due)) {
		return nil
	}
	if err := errors.Join(h.disk.active.Sync(), h.disk.folder.Sync()); err != nil {
		return err
	}
	h.disk.due = time.Time{}
	return nil
}

// retire ends the active segment.
func (h *History) retire() error {
	if h.disk.active == nil {
		return nil
	}
	if err := h.sync(true); err != nil {
		return err
	}
	active := h.disk.active
	h.disk.active = nil
	return active.Close()
}

// trim removes the oldest segments while there are too many bytes or they are too old.
func (h *History) trim() error {
	for h.passesCap() {
		h.mu.Lock()
		oldest, only := h.segments[0], len(h.segments) == 1
		h.mu.Unlock()
		if only {
			if err := h.retire(); err != nil {
				return err
			}
		}
		if err := os.Remove(filepath.Join(h.settings.Folder, oldest.name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		h.mu.Lock()
		h.segments = h.segments[1:]
		h.dropFromMemory()
		h.mu.Unlock()
	}
	return nil
}

// dropFromMemory keeps Read from showing what was too old for the disk.
func (h *History) dropFromMemory() {
	for h.unwritten > 0 && (len(h.segments) == 0 || h.recent[0].ID < h.segments[0].first) {
		h.recent, h.unwritten = h.recent[1:], h.unwritten-1
	}
}

// Trim removes what is too old or too much of a history that nobody writes now; state.ErrInUse is the answer where somebody does.
func Trim(s Settings) error {
	h := New(s)
	defer h.letGo()
	if err := h.load(); err != nil {
		return err
	}
	return h.trim()
}

// passesCap tells whether the oldest segment must go.
func (h *History) passesCap() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.segments) == 0 {
		return false
	}
	var bytes int64
	for _, s := range h.segments {
		bytes += s.onDisk()
	}
	return bytes > h.settings.MostBytes || h.ageOfOldest() > h.settings.MostAge
}

// ageOfOldest is how old the first event of the oldest segment is: none is kept for longer than it may be.
func (h *History) ageOfOldest() time.Duration {
	now, oldest := h.wall(), &h.segments[0]
	made := madeAt(oldest.first)
	if !made.After(now) {
		return now.Sub(made)
	}
	if oldest.written.After(now) { // while the clock was ahead: it ages from now on
		oldest.written = now
	}
	if !oldest.begun.IsZero() && oldest.begun.Before(oldest.written) {
		return now.Sub(oldest.begun)
	}
	return now.Sub(oldest.written)
}

// forgetOld drops from memory what is too old, on disk or not. Ids that are ahead of the clock tell nothing; the cap on memory holds for
// those.
func (h *History) forgetOld() {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.wall()
	for len(h.recent) > 0 && now.Sub(madeAt(h.recent[0].ID)) > h.settings.MostAge {
		h.recent[0] = Entry{}
		h.recent, h.unwritten = h.recent[1:], max(h.unwritten-1, 0)
	}
}

// letGo closes all files.
func (h *History) letGo() {
	for _, open := range []*os.File{h.disk.active, h.disk.folder} {
		if open != nil {
			_ = open.Close() // synced before, or told as failed
		}
	}
}
