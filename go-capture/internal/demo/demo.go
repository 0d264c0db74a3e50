// SPDX-License-Identifier: Apache-2.0

// Package demo is the script of the built-in demo: which face is where in which frame. The source draws by it and the
// tests know the truth from it.
package demo

import (
	"math"

	"visavis/capture/internal/geometry"
)

// Frames is the length of the script; then it begins again. The last part shows nobody.
const Frames = 630

// Actor is one picture of a face and its way through the script.
type Actor struct {
	File        string       // name of the picture
	Crop        geometry.Box // the part of the picture that is shown
	Face        geometry.Box // the face in the picture, as CenterFace finds it at the picture's own size
	first, last int          // frames in which it is shown
	height      float64      // of the face, as a part of the demo picture's height
	x, y, sway  float64      // where the face's middle moves, as parts of width and height
	turns       float64      // how often it goes to and fro in the whole script
}

// Actors are the two faces, one in each of the pictures.
var Actors = []Actor{
	{
		File: "face.jpg", Crop: geometry.Box{X: 205, Y: 85, W: 305, H: 365}, Face: geometry.Box{X: 262.5, Y: 139, W: 190.5, H: 254.5},
		first: 30, last: 390, height: 0.32, x: 0.32, y: 0.42, sway: 0.12, turns: 3,
	},
	{
		File: "face-detect.jpg", Crop: geometry.Box{X: 115, Y: 45, W: 190, H: 235}, Face: geometry.Box{X: 155, Y: 85, W: 110.3, H: 153.4},
		first: 210, last: 510, height: 0.28, x: 0.74, y: 0.5, sway: 0.07, turns: 4,
	},
}

// Place returns where the actor's crop lies in frame n of a demo picture of width x height pixels, in whole pixels, and
// whether it is shown at all.
func (a Actor) Place(n, width, height int) (crop geometry.Box, shown bool) {
	n %= Frames
	scale := a.scale(height)
	phase := 2 * math.Pi * a.turns * float64(n) / Frames
	middleX := (a.x + a.sway*math.Sin(phase)) * float64(width)
	middleY := (a.y + a.sway/3*math.Cos(phase)) * float64(height)
	left := math.Round(middleX - scale*float64(a.Face.X-a.Crop.X+a.Face.W/2))
	top := math.Round(middleY - scale*float64(a.Face.Y-a.Crop.Y+a.Face.H/2))
	w, h := a.CropSize(height)
	left, top = kept(left, w, width), kept(top, h, height)
	return geometry.Box{X: float32(left), Y: float32(top), W: float32(w), H: float32(h)}, a.first <= n && n < a.last
}

// kept moves what is so long to where it fits into a side: in an upright picture the way is too wide.
func kept(position float64, length, side int) float64 {
	return max(min(position, float64(side-length)), 0)
}

// CropSize returns the size in pixels at which the crop is shown in a demo picture of that height.
func (a Actor) CropSize(height int) (w, h int) {
	scale := a.scale(height)
	return int(math.Round(scale * float64(a.Crop.W))), int(math.Round(scale * float64(a.Crop.H)))
}

// scale is demo pixels per pixel of the actor's picture.
func (a Actor) scale(height int) float64 { return a.height * float64(height) / float64(a.Face.H) }

// Truth returns the boxes of the faces in frame n of a demo picture of width x height pixels.
func Truth(n, width, height int) []geometry.Box {
	boxes := []geometry.Box{}
	for _, a := range Actors {
		crop, shown := a.Place(n, width, height)
		if !shown {
			continue
		}
		scale := float32(a.scale(height))
		boxes = append(boxes, geometry.Box{
			X: crop.X + scale*(a.Face.X-a.Crop.X), Y: crop.Y + scale*(a.Face.Y-a.Crop.Y), W: scale * a.Face.W, H: scale * a.Face.H,
		})
	}
	return boxes
}
