// SPDX-License-Identifier: Apache-2.0

package source

import (
	"errors"
	"fmt"
	"image"
	"io"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
)

// errMoved says that OpenCV wrote elsewhere: a destination of another size or type is silently allocated anew.
var errMoved = errors.New("OpenCV moved the picture: its size or type differs from the buffer's")

// errNothing says that OpenCV made no picture of what it got.
var errNothing = errors.New("OpenCV makes no picture of it: it is damaged")

// drawInto lets draw write straight into the picture's memory and checks that it did.
func drawInto(picture *frame.Picture, draw func(*gocv.Mat) error) error {
	mat, err := gocv.NewMatFromBytes(picture.Height, picture.Width, gocv.MatTypeCV8UC3, picture.Pixels)
	if err != nil {
		return fmt.Errorf("wrap the picture's memory: %w", err)
	}
	defer mat.Close()
	if err := draw(&mat); err != nil {
		return err
	}
	if mat.Empty() {
		return errNothing
	}
	bytes, err := mat.DataPtrUint8()
	if err != nil {
		return fmt.Errorf("look at the picture's memory: %w", err)
	}
	if &bytes[0] != &picture.Pixels[0] {
		return errMoved
	}
	return nil
}

// copyRegion copies the part `from` of source to the same size at `at` of target.
func copyRegion(source gocv.Mat, from image.Rectangle, target *gocv.Mat, at image.Point) error {
	part := source.Region(from)
	defer part.Close()
	place := target.Region(image.Rectangle{Min: at, Max: at.Add(from.Size())})
	defer place.Close()
	return part.CopyTo(&place)
}

// closeAfter closes what a failed opening leaves and keeps both errors.
func closeAfter(err error, c io.Closer) error { return errors.Join(err, c.Close()) }
