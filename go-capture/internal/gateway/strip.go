// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"

	"visavis/capture/internal/jpegfile"
)

const plainJFIF = 14 // bytes of JFIF's segment without a thumbnail

// stripMetadata returns the picture of a JPEG without what else lies in the file: where and with what it was taken, thumbnails, further
// pictures behind it. It moves the bytes of body for that. It returns nothing of a file that is not built as it should be.
func stripMetadata(body []byte) []byte {
	if jpegfile.End(body) < 0 {
		return nil // before anything is moved
	}
	kept := body[:2]
	for s := range jpegfile.Segments(body) {
		if belongsToPicture(s.Marker, s.Content(body)) {
			kept = append(kept, body[s.At:s.End]...)
		}
	}
	return kept
}

// belongsToPicture tells whether a decoder needs the segment.
func belongsToPicture(marker byte, content []byte) bool {
	switch {
	case marker == jpegfile.APP0:
		return len(content) == plainJFIF && bytes.HasPrefix(content, []byte("JFIF\x00"))
	case marker == jpegfile.APP14:
		return bytes.HasPrefix(content, []byte("Adobe"))
	case marker > jpegfile.APP0 && marker <= jpegfile.APP15, marker == jpegfile.COM:
		return false
	}
	return true
}
