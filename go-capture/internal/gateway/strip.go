// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"encoding/binary"
)

const (
	markerRST0, markerRST7 = 0xD0, 0xD7
	markerAPP0             = 0xE0
	markerAPP14            = 0xEE // Adobe's: how colours are meant
	markerAPP15            = 0xEF
	markerCOM              = 0xFE
	plainJFIF              = 16 // bytes of an APP0 segment without a thumbnail, its length included
)

// stripMetadata returns the picture of a JPEG without what else lies in the file: where and with what it was taken, thumbnails, further
// pictures behind it. It moves the bytes of body for that. It returns nothing of a file that is not built as it should be.
func stripMetadata(body []byte) []byte {
	if !walkSegments(body, func([]byte) {}) {
		return nil // before anything is moved
	}
	kept := body[:2]
	walkSegments(body, func(segment []byte) {
		if belongsToPicture(segment[1], segment[2:]) {
			kept = append(kept, segment...)
		}
	})
	return kept
}

// walkSegments visits what lies between the first marker and the end of the picture, EOI included; pixels come with the segment that
// begins their scan. It returns false when there is no such end.
func walkSegments(body []byte, visit func(segment []byte)) bool {
	for at := 2; at+2 <= len(body) && body[at] == 0xFF; {
		marker := body[at+1]
		if marker == markerEOI {
			visit(body[at : at+2])
			return true
		}
		end := segmentEnd(body, at)
		if end < 0 {
			return false
		}
		if marker == markerSOS {
			end = scanEnd(body, end)
		}
		visit(body[at:end])
		at = end
	}
	return false
}

// segmentEnd is where the segment ends whose marker is at `at`; -1 when it is none, or cut off.
func segmentEnd(body []byte, at int) int {
	marker := body[at+1]
	if at+4 > len(body) || marker == 0 || withoutLength(marker) > 0 {
		return -1
	}
	end := at + 2 + int(binary.BigEndian.Uint16(body[at+2:]))
	if end < at+4 || end > len(body) {
		return -1
	}
	return end
}

// scanEnd is where the coded pixels end that begin at `at`: at the next marker that is not one of theirs.
func scanEnd(body []byte, at int) int {
	for at+1 < len(body) {
		step := bytes.IndexByte(body[at:len(body)-1], 0xFF)
		if step < 0 {
			break
		}
		at += step
		if next := body[at+1]; next != 0 && next != 0xFF && (next < markerRST0 || next > markerRST7) {
			return at
		}
		at++
	}
	return len(body)
}

// belongsToPicture tells whether a decoder needs the segment; content begins with its length.
func belongsToPicture(marker byte, content []byte) bool {
	switch {
	case marker == markerAPP0:
		return len(content) == plainJFIF && bytes.HasPrefix(content[2:], []byte("JFIF\x00"))
	case marker == markerAPP14:
		return bytes.HasPrefix(content[2:], []byte("Adobe"))
	case marker > markerAPP0 && marker <= markerAPP15, marker == markerCOM:
		return false
	}
	return true
}
