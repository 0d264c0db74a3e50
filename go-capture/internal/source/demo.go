// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"os"
	"path/filepath"

	"gocv.io/x/gocv"

	"visavis/capture/internal/demo"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/preprocess"
)

// demoDirEnvironment names the folder with the demo's pictures; without it they lie beside the program, in demo/, or where the
// package puts them.
const (
	demoDirEnvironment = "VISAVIS_DEMO_DIR"
	demoDirInstalled   = "/usr/share/visavis/demo"
)

// demoSource draws the script of package demo over a background that drifts, paced by its own clock.
type demoSource struct {
	width, height int
	clock         *clock
	frame         int
	background    gocv.Mat // twice as wide as the picture
	crops         []gocv.Mat
}

func openDemo(_ context.Context, s Settings, _ string) (Source, error) {
	d := &demoSource{width: s.Width, height: s.Height, clock: newClock(s.FPS), background: demoBackground(s.Width, s.Height)}
	for _, actor := range demo.Actors {
		crop, err := demoCrop(actor, s.Height)
		if err != nil {
			return nil, closeAfter(err, d)
		}
		d.crops = append(d.crops, crop)
	}
	return d, nil
}

// demoBackground draws soft slanted stripes once; each frame shows another part of them.
func demoBackground(width, height int) gocv.Mat {
	background := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(96, 84, 72, 0), height, 2*width, gocv.MatTypeCV8UC3)
	stripe := max(8, height/12)
	for x := -height; x < 2*width; x += 4 * stripe {
		for offset := range stripe {
			// Errors cannot occur here: the image is ours and not empty.
			_ = gocv.Line(&background, image.Pt(x+offset, height), image.Pt(x+offset+height, 0), color.RGBA{R: 88, G: 100, B: 112}, 1)
		}
	}
	return background
}

// demoCrop reads an actor's picture and scales its crop to the size at which the script shows it.
func demoCrop(actor demo.Actor, height int) (gocv.Mat, error) {
	dir, err := demoDir()
	if err != nil {
		return gocv.Mat{}, err
	}
	path := filepath.Join(dir, actor.File)
	whole := gocv.IMRead(path, gocv.IMReadColor)
	defer whole.Close()
	if whole.Empty() {
		return gocv.Mat{}, fmt.Errorf("the demo's picture %s cannot be read: run `make setup`, or set %s", path, demoDirEnvironment)
	}
	c := actor.Crop
	part, err := preprocess.Region(whole, image.Rect(int(c.X), int(c.Y), int(c.X+c.W), int(c.Y+c.H)))
	if err != nil {
		return gocv.Mat{}, fmt.Errorf("the demo's picture %s is another one: %w: run `make setup`, or set %s", path, err, demoDirEnvironment)
	}
	defer part.Close()
	w, h := actor.CropSize(height)
	scaled := gocv.NewMat()
	if err := gocv.Resize(part, &scaled, image.Pt(w, h), 0, 0, gocv.InterpolationArea); err != nil {
		return gocv.Mat{}, closeAfter(err, &scaled)
	}
	return scaled, nil
}

func demoDir() (string, error) {
	if dir := os.Getenv(demoDirEnvironment); dir != "" {
		return dir, nil
	}
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("find the demo's pictures: %w", err)
	}
	beside := filepath.Join(filepath.Dir(program), "demo")
	if _, err := os.Stat(beside); err != nil {
		return demoDirInstalled, nil
	}
	return beside, nil
}

// Grab draws the next frame. DriverSeq is its number in the script plus 1.
func (d *demoSource) Grab(ctx context.Context, into *frame.Picture) error {
	if err := d.clock.wait(ctx); err != nil {
		return err
	}
	if err := into.SetSize(d.width, d.height); err != nil {
		return err
	}
	if err := preprocess.Into(into, d.draw); err != nil {
		return err
	}
	into.CapturedNs, into.JPEG = frame.MonotonicNs(), nil
	d.frame++
	into.DriverSeq = uint64(d.frame)
	return nil
}

func (d *demoSource) draw(picture *gocv.Mat) error {
	drift := d.frame % d.width
	if err := copyRegion(d.background, image.Rect(drift, 0, drift+d.width, d.height), picture, image.Point{}); err != nil {
		return err
	}
	for i, actor := range demo.Actors {
		place, shown := actor.Place(d.frame, d.width, d.height)
		if !shown {
			continue
		}
		crop := d.crops[i]
		if err := copyRegion(crop, image.Rect(0, 0, crop.Cols(), crop.Rows()), picture, image.Pt(int(place.X), int(place.Y))); err != nil {
			return err
		}
	}
	return nil
}

func (d *demoSource) Close() error {
	for i := range d.crops {
		if err := d.crops[i].Close(); err != nil {
			return err
		}
	}
	d.crops = nil
	if d.background.Ptr() == nil {
		return nil
	}
	return d.background.Close()
}
