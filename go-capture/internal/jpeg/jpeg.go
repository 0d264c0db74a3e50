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
	"visavis/capture/internal/hub"
	"visavis/capture/internal/preprocess"
	"visavis/capture/internal/showing"
)

const (
	quality      = 80
	hiddenMargin = 0.2 // of the box, on each side: hair and chin recognise people too
	blocksMost   = 7   // along the longer side of a pixelated face, few enough that nobody is recognised
	boxThickness = 2
)

// Encode returns the picture of a result as JPEG, and alone decides how. It never touches the pixels, which others hold too. When nothing
// is to be hidden, drawn or scaled it is the camera's own JPEG, which lasts no longer than the picture is held.
func Encode(r *hub.Result, s showing.Style) ([]byte, error) {
	p, width := r.Picture, r.Picture.Width
	if s.Width > 0 {
		width = min(width, s.Width)
	}
	if s.Privacy == showing.PrivacyNone && !s.Boxes && s.Part.W == 0 && width == p.Width && len(p.JPEG) > 0 {
		return p.JPEG, nil
	}
	canvas, err := copyAt(p, width)
	if err != nil {
		return nil, err
	}
	defer canvas.Close()
	return finish(&canvas, r, s, float64(width)/float64(p.Width))
}

// EncodeOwn is Encode for a picture that nobody else holds, in its own size: it draws on the pixels, so that no copy takes memory.
func EncodeOwn(r *hub.Result, s showing.Style) ([]byte, error) {
	canvas, err := wrap(r.Picture)
	if err != nil {
		return nil, err
	}
	defer canvas.Close()
	return finish(&canvas, r, s, 1)
}

// finish draws what is to be seen on the canvas, and encodes it.
func finish(canvas *gocv.Mat, r *hub.Result, s showing.Style, scale float64) ([]byte, error) {
	if err := decorate(canvas, r, s, scale); err != nil {
		return nil, err
	}
	if s.Part.W > 0 {
		return compressPart(*canvas, rectangle(s.Part, scale, 0))
	}
	return compress(*canvas)
}

// wrap lets OpenCV see the picture's own pixels.
func wrap(p *frame.Picture) (gocv.Mat, error) {
	mat, err := gocv.NewMatFromBytes(p.Height, p.Width, gocv.MatTypeCV8UC3, p.Pixels)
	if err != nil {
		return mat, fmt.Errorf("wrap a picture of %dx%d pixels: %w", p.Width, p.Height, err)
	}
	return mat, nil
}

// compressPart encodes what of the part lies inside the canvas; all of it when nothing does.
func compressPart(canvas gocv.Mat, part image.Rectangle) ([]byte, error) {
	part = part.Intersect(image.Rect(0, 0, canvas.Cols(), canvas.Rows()))
	if part.Empty() {
		return compress(canvas)
	}
	region, err := preprocess.Region(canvas, part)
	if err != nil {
		return nil, err
	}
	defer region.Close()
	return compress(region)
}

// copyAt makes an own copy of the picture, scaled to the width.
func copyAt(p *frame.Picture, width int) (gocv.Mat, error) {
	shared, err := wrap(p)
	if err != nil {
		return shared, err
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
func decorate(canvas *gocv.Mat, r *hub.Result, s showing.Style, scale float64) error {
	if err := hideFaces(canvas, r, s.Privacy, scale); err != nil || !s.Boxes {
		return err
	}
	for _, face := range r.Faces {
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

// hideFaces hides the unsure ones too, and all of a picture in which nobody has looked for any. That is never blurred: it would take a
// second.
func hideFaces(canvas *gocv.Mat, r *hub.Result, privacy string, scale float64) error {
	if privacy == showing.PrivacyNone {
		return nil
	}
	if r.Unlooked {
		return mosaic(canvas, image.Pt(canvas.Cols(), canvas.Rows()), max(canvas.Cols(), canvas.Rows()))
	}
	for _, faces := range [][]hub.Face{r.Faces, r.Unsure} {
		for _, face := range faces {
			if err := hide(canvas, rectangle(face.Box, scale, hiddenMargin), privacy); err != nil {
				return err
			}
		}
	}
	return nil
}

// hide makes the part of the canvas unrecognisable. How coarse that is follows from the whole face, also where the picture's edge cuts it.
func hide(canvas *gocv.Mat, area image.Rectangle, privacy string) error {
	side := max(area.Dx(), area.Dy())
	area = area.Intersect(image.Rect(0, 0, canvas.Cols(), canvas.Rows()))
	if area.Empty() {
		return nil
	}
	part, err := preprocess.Region(*canvas, area)
	if err != nil {
		return fmt.Errorf("hide a face: %w", err)
	}
	defer part.Close()
	if privacy == showing.PrivacyBlur {
		kernel := max(3, side/2) | 1
		return gocv.GaussianBlur(part, &part, image.Pt(kernel, kernel), 0, 0, gocv.BorderReplicate)
	}
	return mosaic(&part, area.Size(), side)
}

// mosaic replaces the part by the means of few blocks, none of them smaller than the side is for blocksMost.
func mosaic(part *gocv.Mat, size image.Point, side int) error {
	along := func(length int) int { return min(max(1, blocksMost*length/side), length) }
	blocks := gocv.NewMat()
	defer blocks.Close()
	if err := gocv.Resize(*part, &blocks, image.Pt(along(size.X), along(size.Y)), 0, 0, gocv.InterpolationArea); err != nil {
		return fmt.Errorf("hide a face: %w", err)
	}
	if err := gocv.Resize(blocks, part, size, 0, 0, gocv.InterpolationNearestNeighbor); err != nil {
		return fmt.Errorf("hide a face: %w", err)
	}
	return nil
}

// compress copies the result out of OpenCV's memory.
func compress(canvas gocv.Mat) ([]byte, error) {
	buffer, err := gocv.IMEncodeWithParams(gocv.JPEGFileExt, canvas, []int{gocv.IMWriteJpegQuality, quality})
	if err != nil {
		return nil, fmt.Errorf("encode a JPEG of %dx%d pixels: %w", canvas.Cols(), canvas.Rows(), err)
	}
	defer buffer.Close()
	return append([]byte(nil), buffer.GetBytes()...), nil
}
