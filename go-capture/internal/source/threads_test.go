// SPDX-License-Identifier: Apache-2.0

package source

import (
	"errors"
	"runtime"
	"testing"

	"gocv.io/x/gocv"
)

// What FFmpeg holds back shows when nothing follows: a picture for each thread but one. An OpenCV that cannot be told takes a thread for
// each processor, as docs/how-to/rtsp-camera.md says.
func TestNoPictureOfANetworkCameraWaitsForThoseThatFollow(t *testing.T) {
	const sent = 60
	want := sent - 1
	if !knowsThreads(gocv.OpenCVVersion()) {
		want -= runtime.NumCPU() - 1
	}
	settings := newNetworkCamera(t, "-pictures", "60", "-fps", "15").settings()
	settings.FPS = 15
	opened, picture := openedWith(t, settings)
	last := -1
	for {
		err := opened.Grab(t.Context(), picture)
		if errors.Is(err, ErrStalled) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		last = markAt(t, picture, countTop)*markSteps + markAt(t, picture, markTop)
	}
	if last != want {
		t.Errorf("the last picture is number %d of 0 to %d, want %d", last, sent-1, want)
	}
}

func TestAnOpenCVIsToldOfThreadsFrom47On(t *testing.T) {
	for version, knows := range map[string]bool{"4.5.4": false, "4.6.0": false, "4.7.0": true, "4.10.0": true, "5.0.0-pre": true, "": false} {
		if knowsThreads(version) != knows {
			t.Errorf("%q: %t", version, !knows)
		}
	}
}
