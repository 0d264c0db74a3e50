// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"encoding/binary"

	"visavis/capture/internal/jpegfile"
)

// What the standard library's DecodeConfig does not tell: orientation, completeness, and what a decoder would spend beside the
// pixels. None of these functions reads beyond the body, whatever it says about itself.

const coefficientBytes = 2

var errCutOff = notAPicture("The picture ends too early: send it whole.")

// lookAtJPEG returns the picture without what lies behind it: a phone's film, further pictures. A decoder would fill what a cut-off one
// lacks with grey; of one in several scans it holds every coefficient of the full size, whatever the scale; and each scan, of ten bytes,
// lets it go over the whole picture. So all of it is looked for here. Up to the first scan nothing may lie between the segments: what a
// decoder finds there would be another picture than the one that is looked at.
func lookAtJPEG(body []byte, h *Header) ([]byte, error) {
	var frameHeader []byte
	scans, end := 0, 2
	for s := range jpegfile.Segments(body) {
		if scans == 0 && s.At != end {
			return nil, notAPicture("Something lies between the segments of the JPEG.")
		}
		switch content := s.Content(body); {
		case s.Marker == jpegfile.EOI:
			return upTo(body[:s.End], scans)
		case s.Marker == jpegfile.SOS:
			if scans++; scans == 1 {
				h.pixelBytes = coefficientBytes * heldSamples(frameHeader, content)
			}
		case scans > 0:
		case s.Marker >= jpegfile.SOF0 && s.Marker <= jpegfile.SOF2:
			frameHeader = append([]byte{s.Marker}, content...)
		case s.Marker == jpegfile.APP1 && bytes.HasPrefix(content, []byte("Exif\x00\x00")) && h.Orientation == 1:
			h.Orientation = orientation(content[6:])
		}
		end = s.End
	}
	return nil, errCutOff
}

// upTo is a whole picture of so many scans.
func upTo(picture []byte, scans int) ([]byte, error) {
	switch {
	case scans == 0:
		return nil, errCutOff
	case scans > scansMost:
		return nil, notAPicture("The JPEG has %d scans; at most %d are decoded.", scans, scansMost)
	}
	return picture, nil
}

// heldSamples is how many samples of each pixel, on average, a decoder keeps until the last scan: none of a picture that comes in a
// single one. The frame header, from SOF's marker on, says how the components are sampled.
func heldSamples(frameHeader, scan []byte) float64 {
	const componentsAt = 7
	if len(frameHeader) < componentsAt || len(scan) < 1 {
		return 0 // what is not there is not decoded either
	}
	if frameHeader[0] != jpegfile.SOF2 && scan[0] >= frameHeader[componentsAt-1] {
		return 0
	}
	most, sum := 1, 0
	for at := componentsAt; at+3 <= len(frameHeader); at += 3 {
		area := int(frameHeader[at+1]>>4) * int(frameHeader[at+1]&15)
		most, sum = max(most, area), sum+area
	}
	return float64(sum) / float64(most)
}

// orientation reads EXIF's tag 0x0112 from a TIFF structure; 1, upright, where it is absent or makes no sense.
func orientation(tiff []byte) int {
	var order binary.ByteOrder = binary.LittleEndian
	if bytes.HasPrefix(tiff, []byte("MM\x00*")) {
		order = binary.BigEndian
	} else if !bytes.HasPrefix(tiff, []byte("II*\x00")) {
		return 1
	}
	if len(tiff) < 8 {
		return 1
	}
	directory := int64(order.Uint32(tiff[4:]))
	if directory+2 > int64(len(tiff)) {
		return 1
	}
	entries := tiff[directory+2:]
	for range order.Uint16(tiff[directory:]) {
		if len(entries) < 12 {
			return 1
		}
		if order.Uint16(entries) == 0x0112 && order.Uint16(entries[2:]) == 3 {
			return validOrientation(int(order.Uint16(entries[8:])))
		}
		entries = entries[12:]
	}
	return 1
}

func validOrientation(value int) int {
	if value < 1 || value > 8 {
		return 1
	}
	return value
}

// lookAtPNG keeps the chunks that make the picture: text and profiles may be compressed by a factor of a thousand, and libpng unpacks
// them all.
func lookAtPNG(body []byte, h *Header) ([]byte, error) {
	const signature, around = 8, 12 // length and type before the content, a checksum behind it
	kept := body[:signature]
	for at := signature; at+around <= len(body); {
		end := int64(at) + around + int64(binary.BigEndian.Uint32(body[at:]))
		if end > int64(len(body)) {
			return nil, errCutOff
		}
		chunk := body[at:end]
		switch kind := string(chunk[4:8]); kind {
		case "IEND":
			return append(kept, chunk...), nil
		case "IHDR", "PLTE", "tRNS", "IDAT":
			kept = append(kept, chunk...)
		case "eXIf":
			h.Orientation = orientation(chunk[8 : len(chunk)-4])
		}
		at = int(end)
	}
	return nil, errCutOff
}

// webpBytes is what a chunk makes the decoder hold for each pixel, beside the result. Without loss, libwebp unpacks into four bytes; alpha,
// too, and keeps one. What has alpha, OpenCV has decoded into four bytes of its own first.
func webpBytes(kind string, content []byte) float64 {
	const (
		alphaBit              = 0x10
		inVP8X, inVP8L        = 0, 4 // the byte that has it
		few, unpacked, copied = 1, 4, 4
	)
	has := func(at int) bool { return len(content) > at && content[at]&alphaBit != 0 }
	switch {
	case kind == "ALPH":
		return few + unpacked + copied
	case kind == "VP8X" && has(inVP8X), kind == "VP8L" && has(inVP8L):
		return unpacked + copied
	case kind == "VP8L":
		return unpacked
	}
	return few
}

// lookAtWebP reads the orientation, and how the picture is packed.
func lookAtWebP(body []byte, h *Header) ([]byte, error) {
	size := int64(binary.LittleEndian.Uint32(body[4:])) + 8
	if size > int64(len(body)) {
		return nil, errCutOff
	}
	for at := int64(12); at+8 <= size; {
		length := int64(binary.LittleEndian.Uint32(body[at+4:]))
		end := at + 8 + length
		if end > size {
			return nil, errCutOff
		}
		kind, content := string(body[at:at+4]), body[at+8:end]
		h.pixelBytes = max(h.pixelBytes, webpBytes(kind, content))
		switch kind {
		case "EXIF":
			h.Orientation = orientation(bytes.TrimPrefix(content, []byte("Exif\x00\x00")))
		case "ANIM":
			return nil, notAPicture("Moving WebP pictures are not decoded: send one picture of it.")
		}
		at = end + length&1
	}
	return body[:size], nil
}
