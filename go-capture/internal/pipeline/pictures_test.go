// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"os"
	"testing"
	"time"

	"visavis/capture/internal/album"
	"visavis/capture/internal/config"
	"visavis/capture/internal/control"
	"visavis/capture/internal/event"
	"visavis/capture/internal/history"
	"visavis/capture/internal/waiting"
)

func TestPicturesOfBeforeGoWhereNoneAreWanted(t *testing.T) {
	t.Setenv("VISAVIS_STATE_DIR", t.TempDir())
	settings := &config.Config{Device: config.Device{ID: "porch"}, History: config.History{ThumbnailsMb: 1}}
	before := openAlbum(settings, history.New(history.Settings{}))
	before.Keep(album.Picture{ID: "01JDG3ZQ3N8XKZ5T0V4W2Y0001", Camera: "door", Privacy: "pixelate", JPEG: []byte{0xff, 0xd8, 0xff, 0xd9}})
	before.Close()
	settings.History.ThumbnailsMb = 0
	a := &Appliance{config: settings, album: openAlbum(settings, nil)}
	a.startPainter()
	folder, err := pictureFolder(settings)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("%d are left, %v", len(left), err)
	}
}

// withPlain is a device that has kept a plain picture of its camera, and how many there are.
func withPlain(t *testing.T, environment ...string) (a *Appliance, left func() int) {
	t.Helper()
	t.Setenv("VISAVIS_STATE_DIR", t.TempDir())
	a = configured(t, append(environment, "VISAVIS_HISTORY__THUMBNAILS_MB=1", "VISAVIS_CAMERA__0__ID=door", "VISAVIS_CAMERA__0__SOURCE=demo:")...)
	a.album.Keep(album.Picture{ID: event.NewIDs().Next(time.Now()), Camera: "door", Privacy: "none", JPEG: []byte{0xff, 0xd8, 0xff, 0xd9}})
	closePictures := a.startPainter()
	t.Cleanup(func() {
		if err := closePictures(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return a, func() int {
		folder, _ := pictureFolder(a.config)
		found, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
}

func TestPlainPicturesGoFromTheDiskWithTheOrderToHideFaces(t *testing.T) {
	a, left := withPlain(t, "VISAVIS_CAMERA__0__PRIVACY=none", `VISAVIS_CAMERA__0__PRIVACY_ALLOWED=["pixelate"]`)
	if a.painter.FacesHidden(); a.privacy("door") != "none" || left() != 1 {
		t.Errorf("%d left while viewers of a camera that does not run yet will see faces: %s", left(), a.privacy("door"))
	}
	c, err := a.newCamera(a.config.Cameras[0])
	if err != nil {
		t.Fatal(err)
	}
	c.cancel = func() { close(c.ended) }
	defer c.stop()
	a.mu.Lock()
	a.cameras["door"] = c
	a.mu.Unlock()
	if _, err := a.change("door", control.Order{Name: control.Privacy, Privacy: "pixelate"}); err != nil {
		t.Fatal(err)
	}
	waiting.Until(t, "it is gone", func() bool { return left() == 0 })
}

func TestPlainPicturesGoFromTheDiskAtAStartThatHidesFaces(t *testing.T) {
	_, left := withPlain(t, "VISAVIS_CAMERA__0__PRIVACY=pixelate")
	waiting.Until(t, "it is gone", func() bool { return left() == 0 })
}
