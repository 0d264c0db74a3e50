// SPDX-License-Identifier: Apache-2.0

// Package jpegfile finds its way through what a JPEG file is built of: segments, and coded pixels between them. No function reads beyond the
// body, whatever it says about itself.
package jpegfile

import (
	"bytes"
	"encoding/binary"
	"iter"
)

// Markers, without the 0xFF before them (ITU-T T.81, table B.1).
const (
	TEM        = 0x01
	SOF0, SOF2 = 0xC0, 0xC2
	DHT        = 0xC4
	RST0, RST7 = 0xD0, 0xD7
	SOI, EOI   = 0xD8, 0xD9
	SOS        = 0xDA
	APP0, APP1 = 0xE0, 0xE1
	APP14      = 0xEE // Adobe's: how colours are meant
	APP15      = 0xEF
	COM        = 0xFE
	fill       = 0xFF // in front of a marker, as often as one likes
)

// Segment is one part of a picture: its marker, and the bytes from At, where its marker's 0xFF is, up to End. The coded pixels of a scan
// belong to the one that begins it.
type Segment struct {
	Marker  byte
	At, End int
}

// Content is what lies behind the length of a segment; of a scan, its coded pixels too.
func (s Segment) Content(body []byte) []byte {
	if s.End < s.At+4 {
		return nil
	}
	return body[s.At+4 : s.End]
}

// Segments gives the segments of the first picture in a body, behind SOI, with those that only fill or that have a marker alone. The last one
// is EOI, unless the body is cut off. As a decoder does, it passes over what is none: the next one then begins behind the end of the last.
func Segments(body []byte) iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		for at := 2; at+2 <= len(body); {
			s, whole := segmentAt(body, nextMarker(body, at))
			if !whole || !yield(s) || s.Marker == EOI {
				return
			}
			at = s.End
		}
	}
}

// End is where the first picture in a body ends, behind its EOI; -1 when it does not.
func End(body []byte) int {
	for s := range Segments(body) {
		if s.Marker == EOI {
			return s.End
		}
	}
	return -1
}

// segmentAt is the segment whose marker is at `at`; false when it is cut off.
func segmentAt(body []byte, at int) (Segment, bool) {
	if at+2 > len(body) {
		return Segment{}, false
	}
	s := Segment{Marker: body[at+1], At: at}
	switch {
	case s.Marker == fill:
		s.End = at + 1
	case s.Marker == TEM || (s.Marker >= RST0 && s.Marker <= EOI):
		s.End = at + 2
	default:
		s.End = lengthEnd(body, at)
	}
	if s.Marker == SOS && s.End > 0 {
		s.End = scanEnd(body, s.End)
	}
	return s, s.End > 0
}

// lengthEnd is where a segment ends that says how long it is; -1 when it is cut off.
func lengthEnd(body []byte, at int) int {
	if at+4 > len(body) {
		return -1
	}
	end := at + 2 + int(binary.BigEndian.Uint16(body[at+2:]))
	if end < at+4 || end > len(body) {
		return -1
	}
	return end
}

// nextMarker is where the next marker is, from `at` on. A decoder takes zero for no marker and reads on behind it.
func nextMarker(body []byte, at int) int {
	if at+2 <= len(body) && body[at] == 0xFF && body[at+1] != 0 {
		return at
	}
	return scanEnd(body, at)
}

// scanEnd is where the coded pixels end that begin at `at`: at the next marker that is not one of theirs.
func scanEnd(body []byte, at int) int {
	for at+1 < len(body) {
		step := bytes.IndexByte(body[at:len(body)-1], 0xFF)
		if step < 0 {
			break
		}
		at += step
		if next := body[at+1]; next != 0 && next != fill && (next < RST0 || next > RST7) {
			return at
		}
		at++
	}
	return len(body)
}
