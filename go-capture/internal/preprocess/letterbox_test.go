// SPDX-License-Identifier: Apache-2.0

package preprocess

import (
	"testing"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
)

// painted returns a picture of one colour.
func painted(t *testing.T, pool *frame.Pool, width, height int, bgr [3]byte) *frame.Picture {
	t.Helper()
	picture, ok := pool.Get()
	if !ok {
		t.Fatal("no picture is free")
	}
	if err := picture.SetSize(width, height); err != nil {
		t.Fatal(err)
	}
	for i := range picture.Pixels {
		picture.Pixels[i] = bgr[i%3]
	}
	return picture
}

func TestTheWholePictureIsDrawnAndEverythingElseIsBlack(t *testing.T) {
	pool := frame.NewPool(1)
	defer pool.Close()
	for _, size := range [][2]int{{1280, 720}, {720, 1280}, {640, 480}, {641, 479}, {33, 400}, {2000, 3}} {
		picture := painted(t, pool, size[0], size[1], [3]byte{10, 120, 250})
		slot := make([]byte, 3*640*480)
		for i := range slot {
			slot[i] = 77 // what the slot's last frame left
		}
		box := geometry.Fit(size[0], size[1], 640, 480)
		if err := Letterbox(picture, slot, box); err != nil {
			t.Fatalf("%v: %v", size, err)
		}
		checkLetterbox(t, slot, box)
		picture.Release()
	}
}

func checkLetterbox(t *testing.T, slot []byte, box geometry.Letterbox) {
	t.Helper()
	x0, y0, w, h := box.Inner()
	for y := range box.Height {
		for x := range box.Width {
			want := [3]byte{}
			if x >= x0 && x < x0+w && y >= y0 && y < y0+h {
				want = [3]byte{10, 120, 250}
			}
			if got := [3]byte(slot[3*(y*box.Width+x):]); got != want {
				t.Fatalf("pixel %d,%d is %v, want %v (picture at %d,%d %dx%d)", x, y, got, want, x0, y0, w, h)
			}
		}
	}
}

func TestASlotThatIsTooSmallIsRefused(t *testing.T) {
	pool := frame.NewPool(1)
	defer pool.Close()
	picture := painted(t, pool, 64, 48, [3]byte{})
	defer picture.Release()
	if err := Letterbox(picture, make([]byte, 10), geometry.Fit(64, 48, 640, 480)); err == nil {
		t.Fatal("a slot of 10 bytes was accepted")
	}
}

func TestTurningMovesTheCornersClockwise(t *testing.T) {
	pool := frame.NewPool(2)
	defer pool.Close()
	for degrees, corner := range map[int][2]int{90: {2, 0}, 180: {3, 2}, 270: {0, 3}} {
		picture := painted(t, pool, 4, 3, [3]byte{})
		picture.Pixels[0], picture.CapturedNs = 200, 5 // the top left corner
		turned, _ := pool.Get()
		if err := Rotate(picture, turned, degrees); err != nil {
			t.Fatal(err)
		}
		if at := 3 * (corner[1]*turned.Width + corner[0]); turned.Pixels[at] != 200 || turned.CapturedNs != 5 {
			t.Errorf("turned by %d the corner is not at %v of %dx%d", degrees, corner, turned.Width, turned.Height)
		}
		picture.Release()
		turned.Release()
	}
	if err := Rotate(nil, nil, 45); err == nil {
		t.Error("45 degrees were accepted")
	}
}
