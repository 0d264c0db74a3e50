// SPDX-License-Identifier: Apache-2.0

//go:build matprofile

package jpeg

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/preprocess"
	"visavis/capture/internal/showing"
	"visavis/capture/internal/source"
	"visavis/capture/internal/waiting"
)

const (
	openings      = 20
	framesEach    = 100
	clipFrames    = 30 // so that a file begins anew within one opening
	width, height = 160, 120
)

// TestNoMatIsLeftWhenCamerasComeAndGo follows OpenCV's memory through the whole way of a picture in the daemon. Go does not
// see that memory, so a forgotten Close would only show as a device that slowly fills up.
func TestNoMatIsLeftWhenCamerasComeAndGo(t *testing.T) {
	t.Setenv("VISAVIS_DEMO_DIR", demoPictures(t))
	clip := makeClip(t)
	pool := frame.NewPool(2)
	defer pool.Close()
	before := gocv.MatProfile.Count()
	for range openings {
		for _, address := range []string{"demo:", "file:" + clip, "file:" + os.Args[0]} {
			err := watch(address, pool)
			if broken := address == "file:"+os.Args[0]; (err != nil) != broken {
				t.Fatalf("%s: %v", address, err)
			}
		}
	}
	for deadline := time.Now().Add(waiting.Most); gocv.MatProfile.Count() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) { // a reader frees its pictures a moment after Close
			t.Fatalf("%d Mats are left after %d openings:\n%s", gocv.MatProfile.Count()-before, 2*openings, owners(t))
		}
	}
}

// owners tells where the Mats that are open now were made.
func owners(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	if err := gocv.MatProfile.WriteTo(&text, 1); err != nil {
		t.Error(err)
	}
	return text.String()
}

// watch opens a source and does with its pictures what the daemon does: draw for the network, encode for each kind of viewer.
func watch(address string, pool *frame.Pool) (err error) {
	ctx := context.Background()
	opened, err := source.Open(ctx, source.Settings{URI: address, Width: width, Height: height, FPS: 10_000, StallLimit: waiting.Most, OpenLimit: waiting.Most})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	picture, _ := pool.Get()
	defer picture.Release()
	slot := make([]byte, 3*64*64)
	for range framesEach {
		if err := opened.Grab(ctx, picture); err != nil {
			return err
		}
		if err := preprocess.Letterbox(picture, slot, geometry.Fit(picture.Width, picture.Height, 64, 64)); err != nil {
			return err
		}
		if err := encodeAll(picture); err != nil {
			return err
		}
	}
	return nil
}

func encodeAll(picture *frame.Picture) error {
	faces := []hub.Face{{Box: geometry.Box{X: 20, Y: 20, W: 30, H: 40}}, {Box: geometry.Box{X: 150, Y: 110, W: 30, H: 40}}, {Box: geometry.Box{X: 900, W: 9, H: 9}}}
	for _, style := range []showing.Style{{Privacy: showing.PrivacyPixelate, Boxes: true}, {Privacy: showing.PrivacyBlur, Width: 80}, {Privacy: showing.PrivacyNone, Width: 40}} {
		if _, err := Encode(&hub.Result{Picture: picture, Faces: faces}, style); err != nil {
			return err
		}
	}
	return nil
}

// makeClip writes a short video.
func makeClip(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clip.avi")
	writer, err := gocv.VideoWriterFile(path, "MJPG", 25, width, height, true)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	for i := range clipFrames {
		picture := gocv.NewMatWithSizeFromScalar(gocv.NewScalar(float64(8*i), 90, 40, 0), height, width, gocv.MatTypeCV8UC3)
		err := writer.Write(picture)
		picture.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// demoPictures are those that GoCV brings along.
func demoPictures(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "gocv.io/x/gocv").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "images")
}
