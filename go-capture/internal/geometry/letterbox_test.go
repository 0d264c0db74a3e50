// SPDX-License-Identifier: Apache-2.0

package geometry

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestAWidePictureIsPaddedAboveAndBelow(t *testing.T) {
	l := Fit(1280, 720, 640, 480)
	x, y, w, h := l.Inner()
	if x != 0 || y != 60 || w != 640 || h != 360 {
		t.Fatalf("inner of 1280x720 in 640x480 = %d,%d %dx%d, want 0,60 640x360", x, y, w, h)
	}
	if l.Scale != 0.5 || l.PadX != 0 || l.PadY != 60 {
		t.Fatalf("scale %v pad %v,%v, want 0.5 and 0,60", l.Scale, l.PadX, l.PadY)
	}
	if got := l.Undo(10, 70, 30, 100); got != (Box{X: 20, Y: 20, W: 40, H: 60}) {
		t.Fatalf("undo = %+v, want 20,20 40x60", got)
	}
}

func TestATallPictureIsPaddedLeftAndRight(t *testing.T) {
	x, y, w, h := Fit(480, 960, 640, 480).Inner()
	if x != 200 || y != 0 || w != 240 || h != 480 {
		t.Fatalf("inner of 480x960 in 640x480 = %d,%d %dx%d, want 200,0 240x480", x, y, w, h)
	}
}

func TestTheWholeInnerRectangleIsTheWholePicture(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLetterbox(t)
		x, y, w, h := l.Inner()
		got := l.Undo(float32(x), float32(y), float32(x+w), float32(y+h))
		if want := (Box{W: float32(l.SourceWidth), H: float32(l.SourceHeight)}); got != want {
			t.Fatalf("%+v: undo of inner = %+v, want %+v", l, got, want)
		}
	})
}

func TestInnerLiesInsideTheInputAndFillsOneSide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLetterbox(t)
		x, y, w, h := l.Inner()
		if x < 0 || y < 0 || w < 1 || h < 1 || x+w > l.Width || y+h > l.Height {
			t.Fatalf("%+v: inner %d,%d %dx%d leaves the input", l, x, y, w, h)
		}
		if w != l.Width && h != l.Height {
			t.Fatalf("%+v: inner %dx%d touches no side fully", l, w, h)
		}
	})
}

// The picture keeps its shape: both sides are the source's side times the scale, to half a pixel (one pixel at least).
func TestThePictureKeepsItsShape(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLetterbox(t)
		_, _, w, h := l.Inner()
		keepsShape(t, w, float64(l.SourceWidth)*float64(l.Scale))
		keepsShape(t, h, float64(l.SourceHeight)*float64(l.Scale))
	})
}

func keepsShape(t *rapid.T, drawn int, exact float64) {
	if drawn != 1 && math.Abs(float64(drawn)-exact) > 0.501 {
		t.Fatalf("side drawn as %d pixels, exact %.3f", drawn, exact)
	}
}

func TestUndoBringsEveryPointOfThePictureBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLetterbox(t)
		want := drawPoint(t, l, "p")
		got := l.UndoPoint(apply(l, want))
		if !near(got.X, want.X) || !near(got.Y, want.Y) {
			t.Fatalf("%+v: %+v came back as %+v", l, want, got)
		}
	})
}

func TestUndoBringsEveryBoxOfThePictureBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := drawLetterbox(t)
		a, b := drawPoint(t, l, "a"), drawPoint(t, l, "b")
		x1, y1 := apply(l, a)
		x2, y2 := apply(l, b)
		got := l.Undo(x1, y1, x2, y2)
		if !near(got.X, min(a.X, b.X)) || !near(got.Y, min(a.Y, b.Y)) ||
			!near(got.X+got.W, max(a.X, b.X)) || !near(got.Y+got.H, max(a.Y, b.Y)) {
			t.Fatalf("%+v: corners %+v %+v came back as %+v", l, a, b, got)
		}
	})
}

func TestNothingOutsideThePictureComesBack(t *testing.T) {
	anywhere := rapid.Float32Range(-1e6, 1e6)
	rapid.Check(t, func(t *rapid.T) {
		l := drawLetterbox(t)
		got := l.Undo(anywhere.Draw(t, "x1"), anywhere.Draw(t, "y1"), anywhere.Draw(t, "x2"), anywhere.Draw(t, "y2"))
		right, bottom := float32(l.SourceWidth)*1.000001, float32(l.SourceHeight)*1.000001
		if got.X < 0 || got.Y < 0 || got.W < 0 || got.H < 0 || got.X+got.W > right || got.Y+got.H > bottom {
			t.Fatalf("%+v: box %+v leaves the picture", l, got)
		}
	})
}

func TestIoUIsOneForTheSameBoxAndZeroForStrangers(t *testing.T) {
	box := Box{X: 10, Y: 10, W: 20, H: 20}
	for _, c := range []struct {
		other Box
		want  float32
	}{{box, 1}, {Box{X: 30, Y: 10, W: 5, H: 5}, 0}, {Box{X: 20, Y: 10, W: 20, H: 20}, 1.0 / 3}, {Box{}, 0}} {
		if got := box.IoU(c.other); math.Abs(float64(got-c.want)) > 1e-6 {
			t.Errorf("IoU(%+v, %+v) = %v, want %v", box, c.other, got, c.want)
		}
	}
}

// apply is the drawing direction, written here from the meaning of a resize and not from Undo.
func apply(l Letterbox, p Point) (x, y float32) {
	innerX, innerY, innerW, innerH := l.Inner()
	x = float32(float64(innerX) + float64(p.X)/float64(l.SourceWidth)*float64(innerW))
	y = float32(float64(innerY) + float64(p.Y)/float64(l.SourceHeight)*float64(innerH))
	return x, y
}

func near(got, want float32) bool { return math.Abs(float64(got-want)) <= 1 }

func drawLetterbox(t *rapid.T) Letterbox {
	side, input := rapid.IntRange(1, 8192), rapid.IntRange(32, 1920)
	return Fit(side.Draw(t, "source width"), side.Draw(t, "source height"), input.Draw(t, "width"), input.Draw(t, "height"))
}

func drawPoint(t *rapid.T, l Letterbox, name string) Point {
	return Point{
		X: rapid.Float32Range(0, float32(l.SourceWidth)).Draw(t, name+".x"),
		Y: rapid.Float32Range(0, float32(l.SourceHeight)).Draw(t, name+".y"),
	}
}

func TestAPictureInItsOwnSizeKeepsEveryPixelAndALargerOneFits(t *testing.T) {
	for _, c := range []struct{ width, height, most, inputWidth, inputHeight, innerWidth, innerHeight int }{
		{640, 480, 1920, 640, 480, 640, 480}, {641, 479, 1920, 672, 480, 641, 479}, {3840, 2160, 1920, 1920, 1088, 1920, 1080},
		{1, 5000, 1920, 32, 1920, 1, 1920}, {1000, 1000, 1000, 992, 992, 992, 992}, {7, 7, 5, 32, 32, 7, 7},
	} {
		l := Corner(c.width, c.height, c.most)
		x, y, w, h := l.Inner()
		if x != 0 || y != 0 || w != c.innerWidth || h != c.innerHeight || l.Width != c.inputWidth || l.Height != c.inputHeight {
			t.Errorf("%dx%d, %d at most: %d,%d %dx%d in %dx%d", c.width, c.height, c.most, x, y, w, h, l.Width, l.Height)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(32, 4000).Draw(t, "most")
		l := Corner(rapid.IntRange(1, 16384).Draw(t, "width"), rapid.IntRange(1, 16384).Draw(t, "height"), most)
		_, _, w, h := l.Inner()
		if w > l.Width || h > l.Height || l.Width > most || l.Height > most || l.Width%Multiple != 0 || l.Height%Multiple != 0 {
			t.Fatalf("%+v: inner %dx%d", l, w, h)
		}
		if got := l.Undo(0, 0, float32(w), float32(h)); got != (Box{W: float32(l.SourceWidth), H: float32(l.SourceHeight)}) {
			t.Fatalf("%+v: undo of inner = %+v", l, got)
		}
	})
}
