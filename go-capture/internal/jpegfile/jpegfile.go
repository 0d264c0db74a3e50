// SPDX-License-Identifier: Apache-2.0

// Package jpegfile finds its way through what a JPEG file is built of: segments, and coded pixels between them. No function reads beyond the
// body, whatever it says about itself.
package jpegfile

import (
	"bytes"
	"encoding/binary"
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
)

// WithoutLength is how many bytes a marker takes that no length follows; 0 when one does. A 0xFF only fills.
func WithoutLength(marker byte) int {
	switch {
	case marker == 0xFF:
		return 1
	case marker == TEM || (marker >= RST0 && marker <= SOI):
		return 2
	}
	return 0
}

// SegmentEnd is where the segment ends whose marker is at `at`; -1 when it is none, or cut off.
func SegmentEnd(body []byte, at int) int {
	if at+4 > len(body) || body[at+1] == 0 || WithoutLength(body[at+1]) > 0 {
		return -1
	}
	end := at + 2 + int(binary.BigEndian.Uint16(body[at+2:]))
	if end < at+4 || end > len(body) {
		return -1
	}
	return end
}

// ScanEnd is where the coded pixels end that begin at `at`: at the next marker that is not one of theirs.
func ScanEnd(body []byte, at int) int {
	for at+1 < len(body) {
		step := bytes.IndexByte(body[at:len(body)-1], 0xFF)
		if step < 0 {
			break
		}
		at += step
		if next := body[at+1]; next != 0 && next != 0xFF && (next < RST0 || next > RST7) {
			return at
		}
		at++
	}
	return len(body)
}
