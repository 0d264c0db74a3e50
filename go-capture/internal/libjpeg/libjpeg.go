// SPDX-License-Identifier: Apache-2.0

// Package libjpeg decodes JPEG with libjpeg-turbo, straight into memory of ours and in OpenCV's order of colours.
//
// OpenCV decodes with the same library, but into RGB first, which Debian's builds then turn around one byte at a time:
// that takes longer than all the rest.
package libjpeg

// #cgo LDFLAGS: -ljpeg
// #include "libjpeg.h"
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// ErrSize says that the picture is of another size than the memory for it.
var ErrSize = errors.New("the JPEG is of another size than announced")

// ErrColours says that the picture is neither grey nor coloured in three components, nor in four: CMYK.
var ErrColours = errors.New("the JPEG has neither one, three nor four components")

// ErrScans says that the picture comes in more than ScansMost scans.
var ErrScans = errors.New("the JPEG has too many scans")

// ScansMost bounds how often a decoder goes over the whole picture: ten bytes let it do so once more. A progressive picture has about
// ten scans.
const ScansMost = 100

// IsJPEG says whether a picture begins as a JPEG does.
func IsJPEG(body []byte) bool { return len(body) > 2 && body[0] == 0xFF && body[1] == 0xD8 }

// Decode writes a picture at 1/reduce (1, 2, 4 or 8) of its size as lines of blue, green and red, width x height of them,
// as it lies and not as EXIF turns it. It fails with ErrSize, ErrColours, ErrScans, or with what libjpeg finds wrong; then
// some of the pixels may be written.
func Decode(body []byte, reduce int, pixels []byte, width, height int) error {
	if len(body) == 0 || len(pixels) != width*height*3 || len(pixels) == 0 {
		return fmt.Errorf("%d bytes of JPEG and %d of memory for %dx%d pixels", len(body), len(pixels), width, height)
	}
	wanted := C.struct_visavis_jpeg_wanted{
		body_bytes: C.size_t(len(body)), reduce: C.uint(reduce), scans_most: ScansMost, width: C.uint(width), height: C.uint(height),
	}
	var text [C.VISAVIS_JPEG_TEXT_BYTES]C.char
	switch C.visavis_jpeg_decode((*C.uint8_t)(unsafe.SliceData(body)), (*C.uint8_t)(unsafe.SliceData(pixels)), wanted, &text[0]) {
	case C.VISAVIS_JPEG_OK:
		return nil
	case C.VISAVIS_JPEG_SIZE:
		return ErrSize
	case C.VISAVIS_JPEG_COLOURS:
		return ErrColours
	case C.VISAVIS_JPEG_SCANS:
		return ErrScans
	default:
		return fmt.Errorf("libjpeg: %s", C.GoString(&text[0]))
	}
}
