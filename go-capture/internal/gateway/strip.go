// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"

	"visavis/capture/internal/jpegfile"
)

const plainJFIF = 16 // bytes of an APP0 segment without a thumbnail, its length included

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
		if marker == jpegfile.EOI {
			visit(body[at : at+2])
			return true
		}
		end := jpegfile.SegmentEnd(body, at)
		if end < 0 {
			return false
		}
		if marker == jpegfile.SOS {
			end = jpegfile.ScanEnd(body, end)
		}
		visit(body[at:end])
		at = end
	}
	return false
}

// belongsToPicture tells whether a decoder needs the segment; content begins with its length.
func belongsToPicture(marker byte, content []byte) bool {
	switch {
	case marker == jpegfile.APP0:
		return len(content) == plainJFIF && bytes.HasPrefix(content[2:], []byte("JFIF\x00"))
	case marker == jpegfile.APP14:
		return bytes.HasPrefix(content[2:], []byte("Adobe"))
	case marker > jpegfile.APP0 && marker <= jpegfile.APP15, marker == jpegfile.COM:
		return false
	}
	return true
}
