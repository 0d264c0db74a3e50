// SPDX-License-Identifier: Apache-2.0

// Package jpeg turns a picture into what viewers see: faces hidden, boxes drawn, scaled, encoded with libjpeg-turbo.
package jpeg

import (
	"fmt"
	"image"
	"image/color"
	"math"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/showing"
)

const (
	defaultQuality = 80
	hiddenMargin   = 0.2 // of the box, on each side: hair and chin recognise people too
	blocksAcross   = 7   // of a pixelated face, few enough that nobody is recognised
	boxThickness   = 2
)

// Face is one box in pixels of the picture.
type Face struct {
	Box    geometry.Box
	Unsure bool // hidden like any other, and never drawn
}

// Encode returns the picture as JPEG. It never touches p.Pixels, which others hold too, and passes the camera's own JPEG
// through when nothing is to be hidden, drawn or scaled.
func Encode(p *frame.Picture, faces []Face, s showing.Style) ([]byte, error) {
	width := min(p.Width, s.Width)
	if s.Width <= 0 {
		width = p.Width
	}
	if s.Privacy == showing.PrivacyNone && !s.Boxes && s.Part.W == 0 && width == p.Width && p.JPEG != nil {
		return p.JPEG, nil
	}
	canvas, err := copyAt(p, width)
	if err != nil {
		return nil, err
	}
	defer canvas.Close()
	scale := float64(width) / float64(p.Width)
	if err := decorate(&canvas, faces, s, scale); err != nil {
		return nil, err
	}
	if s.Part.W > 0 {
		return compressPart(canvas, rectangle(s.Part, scale, 0), s.Quality)
	}
	return compress(canvas, s.Quality)
}

// compressPart encodes what of the part lies inside the canvas; all of it when nothing does.
func compressPart(canvas gocv.Mat, part image.Rectangle, quality int) ([]byte, error) {
	part = part.Intersect(image.Rect(0, 0, canvas.Cols(), canvas.Rows()))
	if part.Empty() {
		return compress(canvas, quality)
	}
	region := canvas.Region(part)
	defer region.Close()
	return compress(region, quality)
}

// copyAt makes an own copy of the picture, scaled to the width.
func copyAt(p *frame.Picture, width int) (gocv.Mat, error) {
	shared, err := gocv.NewMatFromBytes(p.Height, p.Width, gocv.MatTypeCV8UC3, p.Pixels)
	if err != nil {
		return shared, fmt.Errorf("wrap a picture of %dx%d pixels: %w", p.Width, p.Height, err)
	}
	defer shared.Close()
	if width == p.Width {
		return shared.Clone(), nil
	}
	canvas := gocv.NewMat()
	height := max(1, int(math.Round(float64(p.Height)*float64(width)/float64(p.Width))))
	if err := gocv.Resize(shared, &canvas, image.Pt(width, height), 0, 0, gocv.InterpolationArea); err != nil {
		return canvas, fmt.Errorf("scale a picture to %d pixels: %w", width, err)
	}
	return canvas, nil
}

// decorate hides all faces first, so that no box is hidden by its neighbour.
func decorate(canvas *gocv.Mat, faces []Face, s showing.Style, scale float64) error {
	if s.Privacy != showing.PrivacyNone {
		for _, face := range faces {
			if err := hide(canvas, rectangle(face.Box, scale, hiddenMargin), s.Privacy); err != nil {
				return err
			}
		}
	}
	if !s.Boxes {
		return nil
	}
	for _, face := range faces {
		if face.Unsure {
			continue
		}
		if err := gocv.Rectangle(canvas, rectangle(face.Box, scale, 0), color.RGBA{R: 64, G: 220, B: 160}, boxThickness); err != nil {
			return fmt.Errorf("draw a box: %w", err)
		}
	}
	return nil
}

// rectangle scales a box to the canvas and grows it by a part of itself on each side.
func rectangle(b geometry.Box, scale, margin float64) image.Rectangle {
	grow := func(v float32) float64 { return float64(v) * scale * margin }
	x, y := float64(b.X)*scale-grow(b.W), float64(b.Y)*scale-grow(b.H)
	w, h := float64(b.W)*scale+2*grow(b.W), float64(b.H)*scale+2*grow(b.H)
	return image.Rect(int(math.Floor(x)), int(math.Floor(y)), int(math.Ceil(x+w)), int(math.Ceil(y+h)))
}

// hide makes the part of the canvas unrecognisable.
func hide(canvas *gocv.Mat, area image.Rectangle, privacy string) error {
	area = area.Intersect(image.Rect(0, 0, canvas.Cols(), canvas.Rows()))
	if area.Empty() {
		return nil
	}
	part := canvas.Region(area)
	defer part.Close()
	if privacy == showing.PrivacyBlur {
		kernel := max(3, area.Dx()/2) | 1
		return gocv.GaussianBlur(part, &part, image.Pt(kernel, kernel), 0, 0, gocv.BorderReplicate)
	}
	return mosaic(&part, area.Size())
}

// mosaic replaces the part by the means of few blocks.
func mosaic(part *gocv.Mat, size image.Point) error {
	across := min(blocksAcross, size.X)
	down := min(max(1, across*size.Y/size.X), size.Y)
	blocks := gocv.NewMat()
	defer blocks.Close()
	if err := gocv.Resize(*part, &blocks, image.Pt(across, down), 0, 0, gocv.InterpolationArea); err != nil {
		return fmt.Errorf("hide a face: %w", err)
	}
	if err := gocv.Resize(blocks, part, size, 0, 0, gocv.InterpolationNearestNeighbor); err != nil {
		return fmt.Errorf("hide a face: %w", err)
	}
	return nil
}

// compress copies the result out of OpenCV's memory.
func compress(canvas gocv.Mat, quality int) ([]byte, error) {
	if quality == 0 {
		quality = defaultQuality
	}
	buffer, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, canvas, []int{gocv.IMWriteJpegQuality, quality})
	if err != nil {
		return nil, fmt.Errorf("encode a JPEG of %dx%d pixels: %w", canvas.Cols(), canvas.Rows(), err)
	}
	defer buffer.Close()
	return append([]byte(nil), buffer.GetBytes()...), nil
}
