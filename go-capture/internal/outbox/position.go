// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"encoding/binary"
	"hash/crc32"

	"visavis/capture/internal/state"
)

// The position file holds two slots, each in a sector of its own, written in turn: a torn write leaves the other. It is written in
// place because that needs neither space nor an inode, so that a full disk does not stop what empties it. It is made before the first
// segment, which may take the last space.
//
//	0 mark 8 bytes    8 version u32    12 CRC32C of 0..12 and 16..64 u32    16 generation u64    24 acknowledged u64
//	32 running time, ms u64    40 dropped u64    48 corrupt u64    56 owner u64
//
// Releases that know no owner write 0 and do not read it.
const (
	positionName  = "position"
	positionMark  = "visavisP"
	slotBytes     = 64
	slotDistance  = 512
	positionBytes = 2 * slotDistance
	version       = 1
)

// position is all that must be known beside the records themselves.
type position struct {
	generation uint64
	settled    uint64 // every record up to this one was acknowledged, dropped, or is corrupt
	runningMs  uint64
	dropped    uint64 // records thrown away before they were acknowledged, since the folder exists
	corrupt    uint64 // records that could not be read, since the folder exists
	owner      uint64 // Settings.Owner; 0: not known
}

func (p *position) slot() []byte {
	raw := make([]byte, slotBytes)
	copy(raw, positionMark)
	little := binary.LittleEndian
	little.PutUint32(raw[8:], version)
	for i, value := range []uint64{p.generation, p.settled, p.runningMs, p.dropped, p.corrupt, p.owner} {
		little.PutUint64(raw[16+8*i:], value)
	}
	little.PutUint32(raw[12:], slotCRC(raw))
	return raw
}

// offset is where the slot of this generation lies.
func (p *position) offset() int64 { return int64(p.generation % 2 * slotDistance) }

// file is a whole position file that holds p only.
func (p *position) file() []byte {
	raw := make([]byte, positionBytes)
	copy(raw[p.offset():], p.slot())
	return raw
}

func slotCRC(raw []byte) uint32 {
	return crc32.Update(crc32.Checksum(raw[:12], castagnoli), castagnoli, raw[16:slotBytes])
}

// parsePosition returns the newer sound slot; found is false when there is none.
func parsePosition(raw []byte) (newest position, found bool, err error) {
	for at := 0; at+slotBytes <= len(raw); at += slotDistance {
		slot := raw[at : at+slotBytes]
		little := binary.LittleEndian
		if string(slot[:8]) != positionMark || little.Uint32(slot[12:]) != slotCRC(slot) {
			continue
		}
		if v := little.Uint32(slot[8:]); v != version {
			return position{}, false, &state.VersionError{File: positionName, Version: int(v), Known: version}
		}
		value := func(i int) uint64 { return little.Uint64(slot[16+8*i:]) }
		p := position{value(0), value(1), value(2), value(3), value(4), value(5)}
		if p.settled > mostSeq {
			continue
		}
		if !found || p.generation > newest.generation {
			newest, found = p, true
		}
	}
	return newest, found, nil
}
