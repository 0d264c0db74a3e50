// SPDX-License-Identifier: Apache-2.0

package preprocess

import (
	"fmt"
	"image"

	"gocv.io/x/gocv"
)

// Region is a part of a Mat, in the same memory. Take no Mat.Region yourself: one that reaches outside its Mat ends the process, because
// nothing in GoCV catches OpenCV's exception there.
func Region(of gocv.Mat, part image.Rectangle) (gocv.Mat, error) {
	if part.Empty() || !part.In(image.Rect(0, 0, of.Cols(), of.Rows())) {
		return gocv.Mat{}, fmt.Errorf("%v is no part of a picture of %dx%d pixels", part, of.Cols(), of.Rows())
	}
	return of.Region(part), nil
}
