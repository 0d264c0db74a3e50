// SPDX-License-Identifier: Apache-2.0

package preprocess

import (
	"bytes"
	"crypto/rand"
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

// Decode writes a compressed picture into memory whose size is set, as it lies and not as EXIF turns it. It fails with
// ErrElsewhere when the picture is of another size, and with ErrNothing when OpenCV makes nothing of it: then OpenCV may
// report success and leave what was there before, which must not pass for the new picture.
func Decode(compressed []byte, flags gocv.IMReadFlag, into *frame.Picture) error {
	unwritten := markEnd(into.Pixels)
	return Into(into, func(mat *gocv.Mat) error {
		if err := gocv.IMDecodeIntoMat(compressed, flags|gocv.IMReadIgnoreOrientation, mat); err != nil {
			return err
		}
		if unwritten() {
			return ErrNothing
		}
		return nil
	})
}

// markEnd writes a random mark at the end of the pixels and returns whether it is still there.
func markEnd(pixels []byte) (unwritten func() bool) {
	var mark [16]byte
	if _, err := rand.Read(mark[:]); err != nil {
		panic(err) // documented never to fail
	}
	end := pixels[len(pixels)-min(len(pixels), len(mark)):]
	copy(end, mark[:])
	return func() bool { return bytes.HasPrefix(mark[:], end) }
}
