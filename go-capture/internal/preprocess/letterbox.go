// SPDX-License-Identifier: Apache-2.0

// Package preprocess draws captured pictures the way the network and the viewers want them.
package preprocess

import (
	"errors"
	"fmt"
	"image"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
)

// ErrMoved says that OpenCV wrote elsewhere than into the slot, so the slot holds no picture.
var ErrMoved = errors.New("OpenCV moved the destination: its size or type differs from the slot's")

// OneThreadEach keeps OpenCV from spreading a call over all processors: cameras already run side by side, and waiting for
// its pool costs more processor time than it saves on pictures of this size.
func OneThreadEach() { gocv.SetNumThreads(1) }

// Letterbox scales the picture into dst (box.Width x box.Height x 3 bytes, BGR), with black bars where it does not reach.
// Slots change hands, so the bars are drawn anew each time: that is one fill of what the picture does not cover, and
// nothing when it covers all.
func Letterbox(picture *frame.Picture, dst []byte, box geometry.Letterbox) error {
	if want := 3 * box.Width * box.Height; len(dst) < want {
		return fmt.Errorf("letterbox into %d bytes: %d are needed for %dx%d", len(dst), want, box.Width, box.Height)
	}
	from, err := wrap(picture.Pixels, picture.Width, picture.Height)
	if err != nil {
		return err
	}
	defer from.Close()
	slot, err := wrap(dst[:3*box.Width*box.Height], box.Width, box.Height)
	if err != nil {
		return err
	}
	defer slot.Close()
	x, y, w, h := box.Inner()
	blackenOutside(dst, box.Width, box.Height, image.Rect(x, y, x+w, y+h))
	return scaleInto(from, slot, image.Rect(x, y, x+w, y+h))
}

// scaleInto resizes into a region of the slot and checks that the slot got it. Area averaging when it shrinks keeps small
// faces free of moiré.
func scaleInto(from, slot gocv.Mat, inner image.Rectangle) error {
	part, err := Region(slot, inner)
	if err != nil {
		return fmt.Errorf("letterbox: %w", err)
	}
	defer part.Close()
	before := placeOf(part)
	interpolation := gocv.InterpolationLinear
	if inner.Dx() < from.Cols() || inner.Dy() < from.Rows() {
		interpolation = gocv.InterpolationArea
	}
	if err := resize(from, &part, inner.Size(), interpolation); err != nil {
		return fmt.Errorf("letterbox: %w", err)
	}
	if placeOf(part) != before {
		return ErrMoved
	}
	return nil
}

// place tells whether a Mat still lies where it lay. GoCV gives the address of continuous Mats only; the region of a
// wider slot is not continuous, but a Mat that OpenCV allocated anew always is, so there the stride tells.
type place struct {
	first  *byte
	stride int
}

func placeOf(mat gocv.Mat) place {
	bytes, err := mat.DataPtrUint8()
	if err != nil || len(bytes) == 0 {
		return place{stride: mat.Step()}
	}
	return place{first: &bytes[0], stride: mat.Step()}
}

// resize copies when nothing is to be scaled.
func resize(from gocv.Mat, to *gocv.Mat, size image.Point, interpolation gocv.InterpolationFlags) error {
	if from.Cols() == size.X && from.Rows() == size.Y {
		return from.CopyTo(to)
	}
	return gocv.Resize(from, to, size, 0, 0, interpolation)
}

// wrap gives OpenCV the memory without copying it.
func wrap(pixels []byte, width, height int) (gocv.Mat, error) {
	mat, err := gocv.NewMatFromBytes(height, width, gocv.MatTypeCV8UC3, pixels)
	if err != nil {
		return mat, fmt.Errorf("wrap a picture of %dx%d pixels: %w", width, height, err)
	}
	return mat, nil
}

// blackenOutside clears what lies around `inner` in a picture of width x height pixels.
func blackenOutside(pixels []byte, width, height int, inner image.Rectangle) {
	stride := 3 * width
	clear(pixels[:inner.Min.Y*stride])
	clear(pixels[inner.Max.Y*stride : height*stride])
	if inner.Dx() == width {
		return
	}
	for y := inner.Min.Y; y < inner.Max.Y; y++ {
		row := pixels[y*stride : (y+1)*stride]
		clear(row[:3*inner.Min.X])
		clear(row[3*inner.Max.X:])
	}
}
