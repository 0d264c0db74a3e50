// SPDX-License-Identifier: Apache-2.0

package v4l2

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// FourCC names a pixel format by four letters, the first in the lowest byte.
type FourCC uint32

// The pixel formats that cameras of the kernel's drivers commonly give.
const (
	MJPG FourCC = 'M' | 'J'<<8 | 'P'<<16 | 'G'<<24 // one JPEG a picture
	JPEG FourCC = 'J' | 'P'<<8 | 'E'<<16 | 'G'<<24 // the same under another name
	YUYV FourCC = 'Y' | 'U'<<8 | 'Y'<<16 | 'V'<<24 // 4:2:2, 2 bytes a pixel
	UYVY FourCC = 'U' | 'Y'<<8 | 'V'<<16 | 'Y'<<24 // 4:2:2, 2 bytes a pixel
	NV12 FourCC = 'N' | 'V'<<8 | '1'<<16 | '2'<<24 // 4:2:0 in two planes, 1.5 bytes a pixel
	BGR3 FourCC = 'B' | 'G'<<8 | 'R'<<16 | '3'<<24 // 3 bytes a pixel
)

func (f FourCC) String() string {
	letters := []byte{byte(f), byte(f >> 8), byte(f >> 16), byte(f >> 24)}
	return strings.TrimRight(string(letters), " ")
}

// ErrNoFormat says that a camera gives none of the wanted pixel formats.
var ErrNoFormat = errors.New("the camera gives none of the wanted pixel formats")

// Format is what a camera was set to: the nearest that it has to what was wanted.
type Format struct {
	Width, Height  int
	Pixels         FourCC
	StrideBytes    int // of one line, 0 for compressed formats
	sizeImageBytes int
}

// Wish is what to ask a camera for.
type Wish struct {
	Width, Height int
	FPS           float64
	Pixels        []FourCC // the best first; the first that the camera has is taken
}

// formatsMost ends the list of a driver that does not end it; none has as many.
const formatsMost = 256

// formats lists what the camera can give, in its own order.
func formats(fd int) ([]FourCC, error) {
	var found []FourCC
	for len(found) < formatsMost {
		description := formatDescription{index: uint32(len(found)), kind: kindCapture}
		err := control(fd, enumFormat, &description)
		if errors.Is(err, unix.EINVAL) {
			return found, nil // the end of the list
		}
		if err != nil {
			return nil, err
		}
		found = append(found, description.pixelFormat)
	}
	return found, nil
}

// choose picks the first wanted format that the camera has.
func choose(wanted, has []FourCC) (FourCC, error) {
	for _, pixels := range wanted {
		if slices.Contains(has, pixels) {
			return pixels, nil
		}
	}
	return 0, fmt.Errorf("%w: wanted %v, it has %v", ErrNoFormat, wanted, has)
}

// agree sets format, size and rate; the driver answers with the nearest that the camera can do.
func agree(fd int, wish Wish) (Format, error) {
	has, err := formats(fd)
	if err != nil {
		return Format{}, err
	}
	pixels, err := choose(wish.Pixels, has)
	if err != nil {
		return Format{}, err
	}
	f := format{kind: kindCapture, width: uint32(wish.Width), height: uint32(wish.Height), pixelFormat: pixels, field: fieldNone}
	if err := control(fd, setFormat, &f); err != nil {
		return Format{}, err
	}
	if f.pixelFormat != pixels {
		return Format{}, fmt.Errorf("%w: it lists %v and gives %v", ErrNoFormat, pixels, f.pixelFormat)
	}
	if err := setRate(fd, wish.FPS); err != nil {
		return Format{}, err
	}
	return Format{
		Width: int(f.width), Height: int(f.height), Pixels: pixels, StrideBytes: int(f.bytesPerLine), sizeImageBytes: int(f.sizeImage),
	}, nil
}

// setRate asks for a frame rate. A camera without a choice of rates says ENOTTY or EINVAL, which is no error.
func setRate(fd int, fps float64) error {
	if fps <= 0 {
		return nil
	}
	parameters := streamParameters{kind: kindCapture, numerator: 1000, denominator: uint32(fps*1000 + 0.5)}
	err := control(fd, setParameters, &parameters)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}
