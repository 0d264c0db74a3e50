// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"time"
)

// Bounds of one record: MQTT's for a topic, ours for a payload.
const (
	MostTopicBytes   = 65_535
	MostPayloadBytes = 1 << 20
)

// A record on disk, little-endian. The header has a CRC of its own so that a damaged body can be stepped over by its length.
//
//	 0 mark u32    4 CRC32C of 8..44 u32    8 seq u64    16 wall clock, ns since 1970 i64    24 running time, ms u64
//	32 topic bytes u32    36 payload bytes u32    40 CRC32C of topic and payload u32    44 topic, payload
const (
	recordMark   = 0xf5a7c31e // not UTF-8 in any order: JSON payloads cannot hold it
	headerBytes  = 44
	resyncBuffer = 16 << 10
	mostSeq      = 1 << 62 // none ever gets there, so whatever says so is not ours
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Record is one event as it was appended.
type Record struct {
	Seq       uint64 // its place in the order; starts at 1 with the folder
	Topic     string
	Payload   []byte
	At        time.Time // wall clock at Append. It may be wrong, so nothing is decided by it.
	RunningMs uint64    // how long the outbox had been running, in all its processes; what age is measured with
}

func (r *Record) bytes() int { return headerBytes + len(r.Topic) + len(r.Payload) }

// encode appends the record's bytes to `to`.
func (r *Record) encode(to []byte) []byte {
	var header [headerBytes]byte
	little := binary.LittleEndian
	little.PutUint32(header[0:], recordMark)
	little.PutUint64(header[8:], r.Seq)
	little.PutUint64(header[16:], uint64(r.At.UnixNano()))
	little.PutUint64(header[24:], r.RunningMs)
	little.PutUint32(header[32:], uint32(len(r.Topic)))
	little.PutUint32(header[36:], uint32(len(r.Payload)))
	little.PutUint32(header[40:], crc32.Update(crc32.Checksum([]byte(r.Topic), castagnoli), castagnoli, r.Payload))
	little.PutUint32(header[4:], crc32.Checksum(header[8:], castagnoli))
	to = append(to, header[:]...)
	to = append(to, r.Topic...)
	return append(to, r.Payload...)
}

// head is a record's header that has proved itself.
type head struct {
	record                   Record // without topic and payload
	topicBytes, payloadBytes int
	bodyCRC                  uint32
}

func (h *head) bytes() int64 { return int64(headerBytes + h.topicBytes + h.payloadBytes) }

func parseHead(raw []byte) (head, bool) {
	little := binary.LittleEndian
	topic, payload := little.Uint32(raw[32:]), little.Uint32(raw[36:])
	sound := little.Uint32(raw[0:]) == recordMark && little.Uint32(raw[4:]) == crc32.Checksum(raw[8:headerBytes], castagnoli) &&
		topic <= MostTopicBytes && payload <= MostPayloadBytes && little.Uint64(raw[8:])-1 < mostSeq
	if !sound {
		return head{}, false
	}
	return head{
		record: Record{
			Seq: little.Uint64(raw[8:]), At: time.Unix(0, int64(little.Uint64(raw[16:]))), RunningMs: little.Uint64(raw[24:]),
		},
		topicBytes: int(topic), payloadBytes: int(payload), bodyCRC: little.Uint32(raw[40:]),
	}, true
}

// scanner reads the records of one file in their order and steps over everything that is not one.
type scanner struct {
	from         io.ReaderAt
	offset, size int64
}

var errUnsound = errors.New("no sound record here")

// next returns the next sound record and moves behind it; io.EOF when none follows. After any other error, which is the disk's,
// it is where it was.
func (s *scanner) next() (Record, error) {
	for s.offset+headerBytes <= s.size {
		record, behind, err := s.read()
		if err == nil {
			s.offset = behind
			return record, nil
		}
		if !errors.Is(err, errUnsound) {
			return Record{}, err
		}
		if behind, err = s.find(behind); err != nil && !errors.Is(err, errUnsound) {
			return Record{}, err
		}
		s.offset = max(behind, s.offset+1)
	}
	s.offset = max(s.size, s.offset)
	return Record{}, io.EOF
}

// read reads the record at the offset. behind is where the next one can start at the earliest.
func (s *scanner) read() (r Record, behind int64, err error) {
	var raw [headerBytes]byte
	if err := s.fill(raw[:], s.offset); err != nil {
		return Record{}, s.offset + 1, err
	}
	h, sound := parseHead(raw[:])
	if !sound || s.offset+h.bytes() > s.size {
		return Record{}, s.offset + 1, errUnsound
	}
	body := make([]byte, h.topicBytes+h.payloadBytes)
	if err := s.fill(body, s.offset+headerBytes); err != nil {
		return Record{}, s.offset + 1, err
	}
	if crc32.Checksum(body, castagnoli) != h.bodyCRC {
		return Record{}, s.offset + h.bytes(), errUnsound
	}
	r = h.record
	r.Topic, r.Payload = string(body[:h.topicBytes]), body[h.topicBytes:]
	return r, s.offset + h.bytes(), nil
}

// find returns where the next mark starts, at `from` or later; the end of the file if there is none.
func (s *scanner) find(from int64) (int64, error) {
	mark := binary.LittleEndian.AppendUint32(nil, recordMark)
	var buffer [resyncBuffer]byte
	for from+headerBytes <= s.size {
		part := buffer[:min(resyncBuffer, s.size-from)]
		if err := s.fill(part, from); err != nil {
			return s.size, err
		}
		if at := bytes.Index(part, mark); at >= 0 {
			return from + int64(at), nil
		}
		from += int64(len(part) - len(mark) + 1) // a mark may lie across two parts
	}
	return s.size, nil
}

// fill reads exactly. A file that is shorter than it should be has no record there.
func (s *scanner) fill(to []byte, at int64) error {
	n, err := s.from.ReadAt(to, at)
	switch {
	case n == len(to):
		return nil
	case errors.Is(err, io.EOF):
		s.size = min(s.size, at+int64(n))
		return errUnsound
	}
	return err
}
