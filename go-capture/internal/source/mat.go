// SPDX-License-Identifier: Apache-2.0

package source

import (
	"errors"
	"image"
	"io"

	"gocv.io/x/gocv"

	"visavis/capture/internal/preprocess"
)

// copyRegion copies the part `from` of source to the same size at `at` of target; what does not fit into target is left out.
func copyRegion(source gocv.Mat, from image.Rectangle, target *gocv.Mat, at image.Point) error {
	fits := image.Rectangle{Min: at, Max: at.Add(from.Size())}.Intersect(image.Rect(0, 0, target.Cols(), target.Rows()))
	if fits.Empty() {
		return nil
	}
	part, err := preprocess.Region(source, fits.Add(from.Min.Sub(at)))
	if err != nil {
		return err
	}
	defer part.Close()
	place, err := preprocess.Region(*target, fits)
	if err != nil {
		return err
	}
	defer place.Close()
	return part.CopyTo(&place)
}

// closeAfter closes what a failed opening leaves and keeps both errors.
func closeAfter(err error, c io.Closer) error { return errors.Join(err, c.Close()) }
