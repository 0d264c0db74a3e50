// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"os"
	"testing"

	"visavis/capture/internal/album"
	"visavis/capture/internal/config"
	"visavis/capture/internal/history"
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
