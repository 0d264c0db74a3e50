// SPDX-License-Identifier: Apache-2.0

package preprocess

import (
	"image"
	"testing"

	"gocv.io/x/gocv"
)

func TestARegionOutsideItsMatIsAnError(t *testing.T) {
	mat := gocv.NewMatWithSize(48, 64, gocv.MatTypeCV8UC3)
	defer mat.Close()
	for _, part := range []image.Rectangle{
		image.Rect(-1, 0, 9, 9), image.Rect(0, -1, 9, 9), image.Rect(60, 0, 65, 9), image.Rect(0, 40, 9, 49), image.Rect(9, 9, 9, 20),
		image.Rect(-9, 0, -9, 9), image.Rect(100, 100, 110, 110),
	} {
		if _, err := Region(mat, part); err == nil {
			t.Errorf("%v is given", part)
		}
	}
	inside, err := Region(mat, image.Rect(0, 0, 64, 48))
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	if inside.Cols() != 64 || inside.Rows() != 48 {
		t.Errorf("all of it is %dx%d", inside.Cols(), inside.Rows())
	}
}
