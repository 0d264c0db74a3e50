// SPDX-License-Identifier: Apache-2.0

// Package decode makes pixels of the pictures that clients send, after package gateway has looked at their headers.
package decode

import (
	"errors"
	"fmt"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/preprocess"
)

// ErrDamaged says that there was no picture in it, or another one than the header announced.
var ErrDamaged = errors.New("the picture is damaged")

// Upright decodes body at 1/reduce of the size that its header names, turns it upright and leaves it in `into`, as BGR. The body is
// what gateway.Inspect returned with that header. It fails with ErrDamaged, and when there is no memory.
func Upright(body []byte, header gateway.Header, reduce int, into *frame.Picture) error {
	if header.Orientation == 1 {
		return stored(body, header, reduce, into)
	}
	pool := frame.NewPool(1)
	defer pool.Close()
	lying, _ := pool.Get()
	defer lying.Release()
	if err := stored(body, header, reduce, lying); err != nil {
		return err
	}
	return turn(lying, header.Orientation, into)
}

// stored decodes without turning. Pictures that cannot be decoded smaller are decoded whole by their header's own account, so
// that reduce is 1 for them.
func stored(body []byte, header gateway.Header, reduce int, into *frame.Picture) error {
	if err := into.SetSize(header.Reduced(reduce)); err != nil {
		return err
	}
	if header.Type == gateway.PixelsType {
		return swapped(body, into)
	}
	return damaged(preprocess.Decode(body, reduce, into))
}

// swapped takes pixels that are no more to be decoded: rows of red, green, blue.
func swapped(pixels []byte, into *frame.Picture) error {
	given, err := gocv.NewMatFromBytes(into.Height, into.Width, gocv.MatTypeCV8UC3, pixels)
	if err != nil {
		return fmt.Errorf("wrap a picture of %dx%d pixels: %w", into.Width, into.Height, err)
	}
	defer given.Close()
	return preprocess.Into(into, func(mat *gocv.Mat) error { return gocv.CvtColor(given, mat, gocv.ColorRGBToBGR) })
}

// damaged says so of a picture that was not decoded.
func damaged(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, preprocess.ErrNothing):
		return ErrDamaged
	case errors.Is(err, preprocess.ErrElsewhere):
		return fmt.Errorf("%w: it is not of the size that its header names", ErrDamaged)
	default:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
}

// turns makes a picture upright by EXIF's orientation.
var turns = map[int]func(from gocv.Mat, to *gocv.Mat) error{
	2: func(from gocv.Mat, to *gocv.Mat) error { return gocv.Flip(from, to, 1) },
	3: func(from gocv.Mat, to *gocv.Mat) error { return gocv.Flip(from, to, -1) },
	4: func(from gocv.Mat, to *gocv.Mat) error { return gocv.Flip(from, to, 0) },
	5: func(from gocv.Mat, to *gocv.Mat) error { return gocv.Transpose(from, to) },
	6: func(from gocv.Mat, to *gocv.Mat) error { return gocv.Rotate(from, to, gocv.Rotate90Clockwise) },
	7: func(from gocv.Mat, to *gocv.Mat) error {
		return errors.Join(gocv.Transpose(from, to), gocv.Flip(*to, to, -1))
	},
	8: func(from gocv.Mat, to *gocv.Mat) error { return gocv.Rotate(from, to, gocv.Rotate90CounterClockwise) },
}

func turn(from *frame.Picture, orientation int, into *frame.Picture) error {
	width, height := from.Width, from.Height
	if orientation >= 5 {
		width, height = height, width
	}
	if err := into.SetSize(width, height); err != nil {
		return err
	}
	lying, err := gocv.NewMatFromBytes(from.Height, from.Width, gocv.MatTypeCV8UC3, from.Pixels)
	if err != nil {
		return fmt.Errorf("wrap a picture of %dx%d pixels: %w", from.Width, from.Height, err)
	}
	defer lying.Close()
	return preprocess.Into(into, func(mat *gocv.Mat) error { return turns[orientation](lying, mat) })
}
