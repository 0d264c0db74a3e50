// SPDX-License-Identifier: Apache-2.0

package jpeg

import (
	"bytes"
	"image"
	"image/color"
	stdjpeg "image/jpeg"
	"slices"
	"testing"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/showing"
)

// checkered returns a picture of single black and white pixels: all detail, nothing else.
func checkered(t *testing.T) *frame.Picture {
	t.Helper()
	pool := frame.NewPool(1)
	t.Cleanup(pool.Close)
	picture, _ := pool.Get()
	t.Cleanup(picture.Release)
	if err := picture.SetSize(320, 240); err != nil {
		t.Fatal(err)
	}
	for y := range 240 {
		for x := range 320 {
			value := byte(255 * ((x/2 + y/2) % 2))
			for channel := range 3 {
				picture.Pixels[3*(y*320+x)+channel] = value
			}
		}
	}
	return picture
}

func decode(t *testing.T, data []byte) image.Image {
	t.Helper()
	decoded, err := stdjpeg.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// detail is the mean difference of neighbours in an area.
func detail(picture image.Image, area image.Rectangle) int {
	sum, count := 0, 0
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X-1; x++ {
			a := int(color.GrayModel.Convert(picture.At(x, y)).(color.Gray).Y)
			b := int(color.GrayModel.Convert(picture.At(x+1, y)).(color.Gray).Y)
			sum, count = sum+max(a-b, b-a), count+1
		}
	}
	return sum / count
}

func TestHiddenFacesLoseTheirDetailAndTheRestKeepsIt(t *testing.T) {
	picture := checkered(t)
	original := append([]byte(nil), picture.Pixels...)
	face := hub.Face{Box: geometry.Box{X: 100, Y: 80, W: 80, H: 80}}
	inside, outside := image.Rect(90, 70, 190, 170), image.Rect(220, 20, 300, 220)
	for privacy, hidden := range map[string]bool{"pixelate": true, "blur": true, "none": false, "typo": true} {
		shown := decode(t, encoded(t, &hub.Result{Picture: picture, Faces: []hub.Face{face}}, showing.Style{Privacy: privacy}))
		if got := detail(shown, inside); (got < 20) != hidden {
			t.Errorf("privacy %q leaves detail %d in the face", privacy, got)
		}
		if got := detail(shown, outside); got < 80 {
			t.Errorf("privacy %q leaves only detail %d elsewhere", privacy, got)
		}
	}
	if !bytes.Equal(original, picture.Pixels) {
		t.Error("the shared picture was changed")
	}
}

func TestAnUnsureFaceIsHiddenAndNotDrawn(t *testing.T) {
	picture := checkered(t)
	r := &hub.Result{Picture: picture, Unsure: []hub.Face{{Box: geometry.Box{X: 100, Y: 80, W: 80, H: 80}}}}
	plain := encoded(t, r, showing.Style{Privacy: "pixelate"})
	if got := detail(decode(t, plain), image.Rect(90, 70, 190, 170)); got >= 20 {
		t.Errorf("an unsure face keeps detail %d", got)
	}
	if !bytes.Equal(plain, encoded(t, r, showing.Style{Privacy: "pixelate", Boxes: true})) {
		t.Error("a box was drawn around an unsure face")
	}
}

func TestAPictureInWhichNobodyHasLookedIsHiddenAsAWhole(t *testing.T) {
	picture := checkered(t)
	for privacy, hidden := range map[string]bool{"pixelate": true, "blur": true, "none": false} {
		shown := decode(t, encoded(t, &hub.Result{Picture: picture, Unlooked: true}, showing.Style{Privacy: privacy, Boxes: true}))
		if got := detail(shown, shown.Bounds()); (got < 20) != hidden {
			t.Errorf("privacy %q leaves detail %d", privacy, got)
		}
	}
}

func encoded(t *testing.T, r *hub.Result, style showing.Style) []byte {
	t.Helper()
	data, err := Encode(r, style)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestAPictureThatNobodyElseHoldsIsDrawnOnAsItIs(t *testing.T) {
	picture := checkered(t)
	r := &hub.Result{Picture: picture, Faces: []hub.Face{{Box: geometry.Box{X: 100, Y: 80, W: 80, H: 80}}}}
	style := showing.Style{Privacy: "pixelate", Boxes: true}
	want, before := encoded(t, r, style), bytes.Clone(picture.Pixels)
	got, err := EncodeOwn(r, style)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v: %d bytes, another picture than the %d of Encode", err, len(got), len(want))
	}
	if bytes.Equal(picture.Pixels, before) {
		t.Error("a copy was drawn on")
	}
}

func TestTheCamerasOwnJPEGPassesOnlyWhenNothingIsToBeDone(t *testing.T) {
	picture := checkered(t)
	picture.SetJPEG([]byte("the camera's own"))
	for style, passes := range map[showing.Style]bool{
		{Privacy: "none"}: true, {Privacy: "none", Width: 320}: true, {Privacy: "none", Width: 4000}: true, {Privacy: "none", Width: 160}: false,
		{Privacy: "none", Boxes: true}: false, {Privacy: "pixelate"}: false, {}: false,
	} {
		data := encoded(t, &hub.Result{Picture: picture}, style)
		if got := string(data) == "the camera's own"; got != passes {
			t.Errorf("%+v: passed through is %v, want %v", style, got, passes)
		}
	}
}

func TestPicturesAreScaledDownButNeverUpAndFacesAtTheEdgeDoNotBreakThem(t *testing.T) {
	picture := checkered(t)
	edge := []hub.Face{{Box: geometry.Box{X: -30, Y: -30, W: 60, H: 60}}, {Box: geometry.Box{X: 310, Y: 235, W: 60, H: 60}}, {}}
	for asked, want := range map[int]int{0: 320, 160: 160, 4000: 320} {
		data := encoded(t, &hub.Result{Picture: picture, Faces: edge}, showing.Style{Privacy: "pixelate", Boxes: true, Width: asked})
		if got := decode(t, data).Bounds().Dx(); got != want {
			t.Errorf("asked for %d pixels, got %d, want %d", asked, got, want)
		}
	}
}

func TestAPartShowsWhatIsInsideAndHidesTheSame(t *testing.T) {
	picture := checkered(t)
	face := geometry.Box{X: 100, Y: 80, W: 60, H: 60}
	r := &hub.Result{Picture: picture, Faces: []hub.Face{{Box: face}}}
	for _, c := range []struct {
		part geometry.Box
		size image.Point
	}{
		{geometry.Box{X: 40, Y: 20, W: 180, H: 180}, image.Pt(180, 180)},
		{geometry.Box{X: -50, Y: 200, W: 100, H: 100}, image.Pt(50, 40)}, // what is outside is left out
		{geometry.Box{X: 900, Y: 900, W: 10, H: 10}, image.Pt(320, 240)},
	} {
		data := encoded(t, r, showing.Style{Privacy: showing.PrivacyPixelate, Part: c.part})
		if got := decode(t, data).Bounds().Size(); got != c.size {
			t.Errorf("%v has %v, want %v", c.part, got, c.size)
		}
	}
	data := encoded(t, r, showing.Style{Privacy: showing.PrivacyPixelate, Part: face})
	if found := detail(decode(t, data), image.Rect(0, 0, 60, 60)); found > 20 {
		t.Errorf("the face has detail %d", found)
	}
}

// rows returns a picture whose pixels have the value of their row.
func rows(t *testing.T, value func(y int) byte) *frame.Picture {
	t.Helper()
	picture := checkered(t)
	for i := range picture.Pixels {
		picture.Pixels[i] = value(i / (3 * picture.Width))
	}
	return picture
}

// down gives the values of a column where a face is hidden.
func down(t *testing.T, picture *frame.Picture, box geometry.Box, privacy string, x int) (values []int) {
	t.Helper()
	shown := decode(t, encoded(t, &hub.Result{Picture: picture, Faces: []hub.Face{{Box: box}}}, showing.Style{Privacy: privacy}))
	for y := 20; y < 220; y++ {
		values = append(values, int(color.GrayModel.Convert(shown.At(x, y)).(color.Gray).Y))
	}
	return values
}

func TestAFaceThatTheEdgeCutsIsNoFinerThanAWholeOne(t *testing.T) {
	picture := rows(t, func(y int) byte { return byte(y) })
	blocks := func(box geometry.Box, x int) int {
		n, last := 1, -1
		for _, value := range down(t, picture, box, "pixelate", x) {
			if last >= 0 && value-last > 5 {
				n++
			}
			last = value
		}
		return n
	}
	whole, cut := blocks(geometry.Box{X: 100, Y: 40, W: 120, H: 160}, 160), blocks(geometry.Box{X: 0, Y: 40, W: 60, H: 160}, 30)
	if whole < 4 || cut > whole {
		t.Errorf("the cut face has %d blocks from top to bottom, the whole one %d", cut, whole)
	}
}

func TestAFaceThatTheEdgeCutsIsBlurredAsAWholeOneIs(t *testing.T) {
	picture := rows(t, func(y int) byte { return byte(255 * (y / 12 % 2)) }) // features of a face
	contrast := func(box geometry.Box, x int) int {
		middle := down(t, picture, box, "blur", x)[70:130]
		return slices.Max(middle) - slices.Min(middle)
	}
	whole, cut := contrast(geometry.Box{X: 100, Y: 40, W: 120, H: 160}, 160), contrast(geometry.Box{X: -12, Y: 40, W: 30, H: 160}, 8)
	if cut > whole+4 {
		t.Errorf("the cut face keeps %d of its contrast, the whole one %d", cut, whole)
	}
}
