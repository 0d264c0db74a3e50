// SPDX-License-Identifier: Apache-2.0

package preprocess

import (
	"bytes"
	"crypto/rand"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/libjpeg"
)

var flags = map[int]gocv.IMReadFlag{
	1: gocv.IMReadColor, 2: gocv.IMReadReducedColor2, 4: gocv.IMReadReducedColor4, 8: gocv.IMReadReducedColor8,
}

// Decode writes a compressed picture at 1/reduce (1, 2, 4 or 8) into memory whose size is set, as it lies and not as EXIF
// turns it. It fails when the picture is damaged or of another size; then some of the pixels may be written.
func Decode(compressed []byte, reduce int, into *frame.Picture) error {
	if libjpeg.IsJPEG(compressed) {
		return libjpeg.Decode(compressed, reduce, into.Pixels, into.Width, into.Height)
	}
	return decodeByOpenCV(compressed, reduce, into)
}

// decodeByOpenCV fails with ErrNothing when OpenCV makes nothing of it: then OpenCV may report success and leave what was there
// before, which must not pass for the new picture.
func decodeByOpenCV(compressed []byte, reduce int, into *frame.Picture) error {
	unwritten := markEnd(into.Pixels)
	return Into(into, func(mat *gocv.Mat) error {
		if err := gocv.IMDecodeIntoMat(compressed, flags[reduce]|gocv.IMReadIgnoreOrientation, mat); err != nil {
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
