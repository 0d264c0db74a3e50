// SPDX-License-Identifier: Apache-2.0

package preprocess

import (
	"errors"
	"fmt"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
)

// ErrElsewhere says that OpenCV wrote elsewhere: a destination of another size or type is silently allocated anew.
var ErrElsewhere = errors.New("OpenCV moved the picture: its size or type differs from the buffer's")

// ErrNothing says that OpenCV made no picture of what it got.
var ErrNothing = errors.New("OpenCV makes no picture of it: it is damaged")

// Into lets draw write straight into the picture's memory and checks that it did.
func Into(picture *frame.Picture, draw func(*gocv.Mat) error) error {
	mat, err := wrap(picture.Pixels, picture.Width, picture.Height)
	if err != nil {
		return err
	}
	defer mat.Close()
	if err := draw(&mat); err != nil {
		return err
	}
	if mat.Empty() {
		return ErrNothing
	}
	bytes, err := mat.DataPtrUint8()
	if err != nil {
		return fmt.Errorf("look at the picture's memory: %w", err)
	}
	if &bytes[0] != &picture.Pixels[0] {
		return ErrElsewhere
	}
	return nil
}
