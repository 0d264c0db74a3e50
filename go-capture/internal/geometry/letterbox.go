// SPDX-License-Identifier: Apache-2.0

// Package geometry is the arithmetic of the letterbox: how a picture of any size sits inside the network's input, and how
// what was found there gets back into the picture. Only this package undoes a letterbox, so there is one place and one
// test for it.
//
// Coordinates are edges, not pixel centres: a picture of width 640 reaches from 0 to 640.
package geometry

import "math"

// Box is a rectangle in pixels of the source picture, origin at the top left.
type Box struct{ X, Y, W, H float32 }

// Point is a position in pixels of the source picture, origin at the top left.
type Point struct{ X, Y float32 }

// Letterbox says where a source picture of SourceWidth x SourceHeight pixels lies inside a network input of
// Width x Height pixels. Scale and PadX, PadY (pixels of the input) are what a reader of the ring is told; Undo uses the
// rectangle of Inner, which is whole pixels and therefore exact in both directions.
type Letterbox struct {
	Scale, PadX, PadY         float32
	SourceWidth, SourceHeight int
	Width, Height             int
	Beyond                    Margins // what Inner shows beside the source
}

// Margins lie beside a picture, in pixels of it: what was decoded smaller ends in whole pixels, so its last ones may reach beyond.
type Margins struct{ Left, Top, Right, Bottom int }

// Fit centres the picture in the input as large as it goes, without changing its shape by more than the rounding to whole
// pixels. All four sizes are in pixels and at least 1; smaller values count as 1.
func Fit(sourceWidth, sourceHeight, width, height int) Letterbox {
	sourceWidth, sourceHeight = max(sourceWidth, 1), max(sourceHeight, 1)
	width, height = max(width, 1), max(height, 1)
	// Rounded to what the struct holds, so that Inner, which has only that, comes to the same pixels.
	scale := float64(float32(min(float64(width)/float64(sourceWidth), float64(height)/float64(sourceHeight))))
	return Letterbox{
		Scale:       float32(scale),
		PadX:        float32((width - inside(sourceWidth, scale, width)) / 2),
		PadY:        float32((height - inside(sourceHeight, scale, height)) / 2),
		SourceWidth: sourceWidth, SourceHeight: sourceHeight,
		Width: width, Height: height,
	}
}

// Multiple is what networks for any size want of both sides.
const Multiple = 32

// Corner puts the picture at the top left of an input of its own size, smaller only where a side would be longer than `most` pixels;
// both sides of the input are rounded up to Multiple, as long as that is no more than `most`.
func Corner(sourceWidth, sourceHeight, most int) Letterbox {
	most = max(most/Multiple*Multiple, Multiple)
	sourceWidth, sourceHeight = max(sourceWidth, 1), max(sourceHeight, 1)
	scale := float64(float32(min(1, float64(most)/float64(max(sourceWidth, sourceHeight)))))
	up := func(source int) int { return (inside(source, scale, most) + Multiple - 1) / Multiple * Multiple }
	return Letterbox{
		Scale: float32(scale), SourceWidth: sourceWidth, SourceHeight: sourceHeight, Width: up(sourceWidth), Height: up(sourceHeight),
	}
}

// Inner is the rectangle of the network input that the picture covers, in whole pixels; the rest is padding.
func (l Letterbox) Inner() (x, y, w, h int) {
	return int(l.PadX), int(l.PadY),
		inside(l.SourceWidth, float64(l.Scale), l.Width), inside(l.SourceHeight, float64(l.Scale), l.Height)
}

// inside is the drawn length of a side, at least one pixel however thin the picture is.
func inside(source int, scale float64, most int) int {
	return min(max(int(math.Round(float64(source)*scale)), 1), most)
}

// Undo turns a box given by its corners in pixels of the network input into a box of the source picture. What lies in the
// padding is cut off, so the box never leaves the picture; corners in the wrong order are put right.
func (l Letterbox) Undo(x1, y1, x2, y2 float32) Box {
	first, second := l.UndoPoint(min(x1, x2), min(y1, y2)), l.UndoPoint(max(x1, x2), max(y1, y2))
	return Box{X: first.X, Y: first.Y, W: second.X - first.X, H: second.Y - first.Y}
}

// UndoPoint turns a position in pixels of the network input into one of the source picture, moved to the nearest edge when
// it lies in the padding.
func (l Letterbox) UndoPoint(x, y float32) Point {
	innerX, innerY, innerW, innerH := l.Inner()
	return Point{
		X: undo(x-float32(innerX), innerW, side{l.Beyond.Left, l.SourceWidth, l.Beyond.Right}),
		Y: undo(y-float32(innerY), innerH, side{l.Beyond.Top, l.SourceHeight, l.Beyond.Bottom}),
	}
}

// side is one of the source, with what is shown before and after it.
type side struct{ before, source, after int }

func undo(position float32, length int, s side) float32 {
	if length < 1 || s.source < 1 {
		return 0
	}
	shown := float32(s.before + s.source + s.after)
	return min(max(position*shown/float32(length)-float32(s.before), 0), float32(s.source))
}

// IoU is the shared part of two boxes over what they cover together, 0 to 1; 0 when both are empty.
func (b Box) IoU(other Box) float32 {
	w := min(b.X+b.W, other.X+other.W) - max(b.X, other.X)
	h := min(b.Y+b.H, other.Y+other.H) - max(b.Y, other.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (b.W*b.H + other.W*other.H - w*h)
}
