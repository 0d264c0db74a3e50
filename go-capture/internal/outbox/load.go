// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"slices"

	"visavis/capture/internal/state"
)

// load reads the folder, once. What another release wrote there is neither ours to send nor to lose: then ours is a folder beside it.
func (o *Outbox) load() error {
	if o.isLoaded() {
		return nil
	}
	err := o.read()
	var other *state.VersionError
	if errors.As(err, &other) {
		o.goBeside(other)
		err = o.read()
	}
	return err
}

func (o *Outbox) goBeside(other *state.VersionError) {
	other.File = o.settings.Folder // whose parts belong together
	o.files.beside()
	o.left.Note(other)
}

// read takes over the folder. Nothing in it is changed: a torn tail stays behind, for the next segment begins where it does.
func (o *Outbox) read() error {
	if err := o.files.prepare(); errors.Is(err, state.ErrInUse) {
		return err
	} // any other failure matters only if there is something to read, or when something is written
	names, err := o.files.names()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	p, found, err := o.loadPosition(names)
	if err != nil {
		return err
	}
	segments, last, err := o.loadSegments(segmentsIn(names), p.runningMs)
	if err != nil {
		return err
	}
	o.adopt(p, found, segments, last)
	return nil
}

func (o *Outbox) isLoaded() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.loaded
}

func (o *Outbox) loadPosition(names []string) (p position, found bool, err error) {
	if !slices.Contains(names, positionName) {
		return position{}, false, nil
	}
	raw, err := o.contents(positionName, positionBytes)
	if o.goesOnWithout(positionName, err) {
		o.disk.lost = storeTries
		return position{}, false, nil
	}
	if err != nil {
		return position{}, false, err
	}
	return parsePosition(raw)
}

// contents returns up to `most` bytes of a file.
func (o *Outbox) contents(name string, most int64) ([]byte, error) {
	from, size, err := o.files.open(name)
	if err != nil {
		return nil, err
	}
	raw := make([]byte, min(size, most))
	n, err := from.ReadAt(raw, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return raw[:n], errors.Join(err, from.Close())
}

// tail is where the records on disk end.
type tail struct {
	seq       uint64
	runningMs uint64
}

// loadSegments reads each segment's header, and the last segment as a whole.
func (o *Outbox) loadSegments(found []segment, runningMs uint64) ([]segment, tail, error) {
	end := tail{runningMs: runningMs}
	var unknown []int
	for i := range found {
		known, err := o.loadSegment(&found[i], i == len(found)-1, &end)
		if err != nil {
			return nil, tail{}, err
		}
		if !known {
			unknown = append(unknown, i)
		}
		end.runningMs = max(end.runningMs, found[i].madeMs)
	}
	for _, i := range unknown {
		found[i].madeMs = end.runningMs // of unknown age: as if made now
	}
	return found, end, nil
}

// goesOnWithout tells that the disk has lost a file, or a part of it, and that it was tried often enough: nobody can mend that, and new
// events must go out. What waits for a person, such as a folder of another user, stays an error.
func (o *Outbox) goesOnWithout(name string, err error) bool {
	if !state.IsLost(err) {
		return false
	}
	if o.disk.unread++; o.disk.unread < readTries {
		return false
	}
	slog.Warn("outbox goes on without what its disk cannot read", "folder", o.settings.Folder, "file", name, "error", err)
	return true
}

// loadSegment goes on behind what the disk has lost, as the reader does.
func (o *Outbox) loadSegment(s *segment, isLast bool, end *tail) (known bool, err error) {
	known, err = o.examine(s, isLast, end)
	if !o.goesOnWithout(s.name(), err) {
		return known, err
	}
	if isLast {
		end.seq = max(end.seq, s.first-1) + 1 // one number at least is missing, and counts as damaged when its turn comes
	}
	return false, nil
}

func (o *Outbox) examine(s *segment, isLast bool, end *tail) (known bool, err error) {
	from, size, err := o.files.open(s.name())
	if err != nil {
		return false, err
	}
	s.bytes = size
	known, err = s.readHeader(from)
	if err == nil && !known {
		known, err = s.ageOfFirst(from)
	}
	if err == nil && isLast {
		err = end.find(s, from)
	}
	return known, errors.Join(err, from.Close())
}

// ageOfFirst takes the age of the first sound record, where the header tells none: counted as new at each start, it would never be too old.
func (s *segment) ageOfFirst(from io.ReaderAt) (known bool, err error) {
	scan := scanner{from: from, offset: segmentHeader, size: s.bytes}
	record, err := scan.next()
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	s.madeMs = record.RunningMs
	return err == nil, err
}

// find reads a segment to its end. One without a sound record ends before it began.
func (t *tail) find(s *segment, from io.ReaderAt) error {
	t.seq = s.first - 1
	scan := scanner{from: from, offset: segmentHeader, size: s.bytes}
	for {
		record, err := scan.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		t.seq, t.runningMs = max(t.seq, record.Seq), max(t.runningMs, record.RunningMs)
	}
}

// adopt takes over what was read. Without a position everything kept is sent again: twice is better than never.
func (o *Outbox) adopt(p position, found bool, segments []segment, end tail) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !found && len(segments) > 0 {
		p.settled = segments[0].first - 1
	}
	memoryDropped := o.position.dropped
	if n := len(segments); n > 0 {
		o.disk.inherited, o.disk.names = slices.Clone(segments), true
		o.startClock()
		if end.seq < segments[n-1].first {
			o.disk.free = segments[n-1].first
		}
	}
	o.disk.saved, o.disk.last = p, max(end.seq, p.settled)
	o.position = p
	o.position.owner = cmp.Or(o.settings.Owner, p.owner)
	o.position.dropped += memoryDropped
	o.saidDropped = p.dropped
	o.segments = segments
	o.base = o.disk.last + 1
	o.next = p.settled + 1
	o.saved = p.settled
	o.past += end.runningMs
	for i := range o.pending {
		o.pending[i].RunningMs += end.runningMs
	}
	o.loaded = true
	nudge(o.ready)
}
