// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sort"
	"strconv"
	"strings"

	"visavis/capture/internal/state"
)

// A segment is a file of records that is only ever appended to, and only by the process that made it. Its name is the number of its
// first record. It holds the records below the first one of the segment behind it: what else is in it was written again there.
//
//	0 mark 8 bytes    8 version u32    12 CRC32C of 0..12 and 16..24 u32    16 running time when it was made, ms u64    24 records
const (
	segmentMark   = "visavisS"
	segmentEnding = ".events"
	segmentHeader = 24
	blockBytes    = 4096 // what a file takes on disk is counted in blocks
)

type segment struct {
	first  uint64
	bytes  int64
	madeMs uint64 // running time
}

func (s segment) name() string  { return fmt.Sprintf("%020d%s", s.first, segmentEnding) }
func (s segment) onDisk() int64 { return (s.bytes + blockBytes - 1) / blockBytes * blockBytes }
func segmentCRC(raw []byte) uint32 {
	return crc32.Update(crc32.Checksum(raw[:12], castagnoli), castagnoli, raw[16:segmentHeader])
}

func (s segment) header() []byte {
	raw := make([]byte, segmentHeader)
	copy(raw, segmentMark)
	binary.LittleEndian.PutUint32(raw[8:], version)
	binary.LittleEndian.PutUint64(raw[16:], s.madeMs)
	binary.LittleEndian.PutUint32(raw[12:], segmentCRC(raw))
	return raw
}

// segmentNamed returns the segment that a file's name stands for.
func segmentNamed(name string) (segment, bool) {
	digits, ours := strings.CutSuffix(name, segmentEnding)
	first, err := strconv.ParseUint(digits, 10, 64)
	s := segment{first: first}
	return s, ours && err == nil && first > 0 && first <= mostSeq && s.name() == name
}

// readHeader fills in what the file says about itself; known is false when it says nothing, because it is damaged or was never
// written before the power went. Its records then still speak for themselves.
func (s *segment) readHeader(from io.ReaderAt) (known bool, err error) {
	raw := make([]byte, segmentHeader)
	n, err := from.ReadAt(raw, 0)
	if n < segmentHeader && !errors.Is(err, io.EOF) {
		return false, err
	}
	little := binary.LittleEndian
	if n < segmentHeader || string(raw[:8]) != segmentMark || little.Uint32(raw[12:]) != segmentCRC(raw) {
		return false, nil
	}
	if v := little.Uint32(raw[8:]); v != version {
		return false, &state.VersionError{File: s.name(), Version: int(v), Known: version}
	}
	s.madeMs = little.Uint64(raw[16:])
	return true, nil
}

// segmentsIn lists the segments of a folder in their order, without what only their files know.
func segmentsIn(names []string) []segment {
	var found []segment
	for _, name := range names {
		if s, ours := segmentNamed(name); ours {
			found = append(found, s)
		}
	}
	sort.Slice(found, func(i, j int) bool { return found[i].first < found[j].first })
	return found
}
