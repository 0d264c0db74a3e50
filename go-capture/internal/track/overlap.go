// SPDX-License-Identifier: Apache-2.0

package track

import "cmp"

// pixelsMost is far beyond any picture; what is larger is not a box.
const pixelsMost = 1e6

// rectangle is given by its edges, in pixels.
type rectangle struct{ left, top, right, bottom float64 }

// possible tells whether a box can be worked with: finite, and not empty.
func (b Box) possible() bool {
	within := func(v float32) bool { return v >= -pixelsMost && v <= pixelsMost } // false for NaN
	return within(b.X) && within(b.Y) && b.W > 0 && b.W <= pixelsMost && b.H > 0 && b.H <= pixelsMost && b.Score == b.Score
}

func (b Box) centre() (x, y float64) {
	return float64(b.X) + float64(b.W)/2, float64(b.Y) + float64(b.H)/2
}

func (b Box) rectangle() rectangle {
	return rectangle{float64(b.X), float64(b.Y), float64(b.X) + float64(b.W), float64(b.Y) + float64(b.H)}
}

// compare orders boxes by what they are, so that the order in which a model lists them changes nothing.
func (b Box) compare(o Box) int {
	return cmp.Or(cmp.Compare(b.X, o.X), cmp.Compare(b.Y, o.Y), cmp.Compare(b.W, o.W), cmp.Compare(b.H, o.H), cmp.Compare(o.Score, b.Score))
}

// grown pushes each edge out by a part of the size, so that a fast or small face still meets its next box.
func (r rectangle) grown(part float64) rectangle {
	w, h := part*(r.right-r.left), part*(r.bottom-r.top)
	return rectangle{r.left - w, r.top - h, r.right + w, r.bottom + h}
}

func (r rectangle) area() float64 { return (r.right - r.left) * (r.bottom - r.top) }

// iou is the shared part over what both cover together, 0 to 1.
func (r rectangle) iou(o rectangle) float64 {
	w := min(r.right, o.right) - max(r.left, o.left)
	h := min(r.bottom, o.bottom) - max(r.top, o.top)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (r.area() + o.area() - w*h)
}
