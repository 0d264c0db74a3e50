// SPDX-License-Identifier: Apache-2.0

package history

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"visavis/capture/internal/state"
)

const (
	ending     = ".events"
	blockBytes = 4096 // what a file takes on disk is counted in blocks
)

// segment is a file of lines whose ids rise. Its name is the id of its first event. Its times are what the clock on the wall said; they
// count only where ids are ahead of that.
type segment struct {
	first   string
	bytes   int64
	begun   time.Time // by this process; zero for one of an earlier process
	written time.Time // the last time
}

func (s segment) name() string  { return s.first + ending }
func (s segment) onDisk() int64 { return (s.bytes + blockBytes - 1) / blockBytes * blockBytes }

// segmentsIn lists the segments of a folder, the oldest first. A folder that is not there holds none.
func segmentsIn(folder string) ([]segment, error) {
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var found []segment
	for _, one := range entries { // in the order of their names, which is that of their ids
		first, ours := strings.CutSuffix(one.Name(), ending)
		if _, err := ulid.ParseStrict(first); !ours || err != nil {
			continue
		}
		if about, err := one.Info(); err == nil && about.Mode().IsRegular() {
			found = append(found, segment{first: first, bytes: about.Size(), written: about.ModTime()})
		}
	}
	return found, nil
}

// scanFile reads one segment; one that was removed this instant holds nothing.
func scanFile(folder string, s segment, visit func(Entry) (goOn bool)) error {
	file, err := os.Open(filepath.Join(folder, s.name()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(scan(file, visit), file.Close())
}

// scanReadable reads what the disk still gives of one segment: a lost block must not hide all that others hold.
func scanReadable(folder string, s segment, visit func(Entry) (goOn bool)) error {
	err := scanFile(folder, s, visit)
	if state.IsLost(err) {
		slog.Warn("history passes over what its disk cannot read", "folder", folder, "segment", s.name(), "error", err)
		return nil
	}
	return err
}

// holding is the part of the segments, the oldest first, that may hold ids above `after`.
func holding(segments []segment, after string) []segment {
	at, _ := slices.BinarySearchFunc(segments, after, func(s segment, id string) int { return strings.Compare(s.first, id) })
	return segments[max(at-1, 0):]
}

// madeAt is the time that an id holds.
func madeAt(id string) time.Time {
	parsed, err := ulid.ParseStrict(id)
	if err != nil {
		return time.Time{} // ids are checked before they come here
	}
	return ulid.Time(parsed.Time())
}
