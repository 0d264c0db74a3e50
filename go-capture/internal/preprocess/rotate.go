// SPDX-License-Identifier: Apache-2.0

package preprocess

import (
	"fmt"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
)

var turns = map[int]gocv.RotateFlag{90: gocv.Rotate90Clockwise, 180: gocv.Rotate180Clockwise, 270: gocv.Rotate90CounterClockwise}

// Rotate writes the picture, turned clockwise by 90, 180 or 270 degrees, into `into`. The camera's own JPEG is left out:
// it shows the picture as it was.
func Rotate(picture, into *frame.Picture, degrees int) error {
	turn, known := turns[degrees]
	if !known {
		return fmt.Errorf("rotate by %d degrees: only 90, 180 and 270 are possible", degrees)
	}
	width, height := picture.Width, picture.Height
	if degrees != 180 {
		width, height = height, width
	}
	if err := into.SetSize(width, height); err != nil {
		return err
	}
	into.CapturedNs, into.DriverSeq, into.JPEG = picture.CapturedNs, picture.DriverSeq, nil
	from, err := wrap(picture.Pixels, picture.Width, picture.Height)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := wrap(into.Pixels, width, height)
	if err != nil {
		return err
	}
	defer to.Close()
	return gocv.Rotate(from, &to, turn)
}
