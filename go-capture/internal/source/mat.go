// SPDX-License-Identifier: Apache-2.0

package source

import (
	"errors"
	"image"
	"io"

	"gocv.io/x/gocv"
)

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
