// SPDX-License-Identifier: Apache-2.0

package jpeg

import (
	"image"
	"testing"

	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/showing"
)

// Several of each kind, in the picture's own size and in half of it.
func TestEveryFaceIsHiddenInPicturesOfAnyWidth(t *testing.T) {
	picture := checkered(t)
	at := func(x, y float32) hub.Face { return hub.Face{Box: geometry.Box{X: x, Y: y, W: 60, H: 60}} }
	r := &hub.Result{Picture: picture, Faces: []hub.Face{at(20, 20), at(200, 20)}, Unsure: []hub.Face{at(20, 150), at(200, 150)}}
	for width, scale := range map[int]int{320: 1, 160: 2} {
		for _, privacy := range []string{showing.PrivacyPixelate, showing.PrivacyBlur} {
			shown := decode(t, encoded(t, r, showing.Style{Privacy: privacy, Width: width}))
			for _, one := range append(r.Faces[:2:2], r.Unsure...) {
				x, y := int(one.Box.X)/scale, int(one.Box.Y)/scale
				if got := detail(shown, image.Rect(x, y, x+60/scale, y+60/scale)); got >= 20 {
					t.Errorf("%s, %d wide: the face at %d,%d keeps detail %d", privacy, width, x, y, got)
				}
			}
		}
	}
}

func TestAFaceIsHiddenWhereItLiesInASmallerPicture(t *testing.T) {
	picture := rows(t, func(y int) byte { return byte(255 * (y / 4 % 2)) }) // half of the size still shows it
	r := &hub.Result{Picture: picture, Faces: []hub.Face{{Box: geometry.Box{X: 200, Y: 140, W: 80, H: 80}}}}
	shown := decode(t, encoded(t, r, showing.Style{Privacy: showing.PrivacyPixelate, Width: 160}))
	turned := func(x int) (sum int) {
		for y := 75; y < 105; y++ {
			a, _, _, _ := shown.At(x, y).RGBA()
			b, _, _, _ := shown.At(x, y+1).RGBA()
			sum += max(int(a)-int(b), int(b)-int(a)) >> 8
		}
		return sum / 30
	}
	if in, out := turned(120), turned(40); in > 30 || out < 80 {
		t.Errorf("in the face %d, beside it %d", in, out)
	}
}

func TestBlocksAreTooCoarseToKnowAFaceBy(t *testing.T) {
	picture := rows(t, func(y int) byte { return byte(y) })
	n, last := 1, -1
	for _, value := range down(t, picture, geometry.Box{X: 100, Y: 60, W: 100, H: 100}, "pixelate", 150)[20:160] { // rows 40 to 180: with its margin
		if last >= 0 && value-last > 5 {
			n++
		}
		last = value
	}
	if n > 7 {
		t.Errorf("%d blocks along a face: somebody may be recognised", n)
	}
}

func TestABlurTakesFeaturesAway(t *testing.T) {
	picture := rows(t, func(y int) byte { return byte(255 * (y / 15 % 2)) }) // features as coarse as eyes are
	middle := down(t, picture, geometry.Box{X: 100, Y: 60, W: 100, H: 100}, "blur", 150)[60:120]
	lo, hi := 255, 0
	for _, v := range middle {
		lo, hi = min(lo, v), max(hi, v)
	}
	if hi-lo > 64 {
		t.Errorf("contrast %d is left", hi-lo)
	}
}

func TestAPartOfAPictureIsNotTheCamerasWholeOne(t *testing.T) {
	picture := checkered(t)
	picture.SetJPEG([]byte("the camera's own"))
	if got := encoded(t, &hub.Result{Picture: picture}, showing.Style{Privacy: "none", Part: geometry.Box{X: 10, Y: 10, W: 50, H: 50}}); string(got) == "the camera's own" {
		t.Error("all of the picture is shown where a part was asked for")
	}
}
