// SPDX-License-Identifier: Apache-2.0

package source

import (
	"testing"
	"time"

	"gocv.io/x/gocv"
)

// recorded is a stream whose pictures come after these pauses and were taken so long after each other. Its test is of the times alone.
type recorded struct {
	interval time.Duration
	pauses   []time.Duration
	read     int
}

func (r *recorded) Read(*gocv.Mat) bool {
	if r.read == len(r.pauses) {
		return false
	}
	time.Sleep(r.pauses[r.read])
	r.read++
	return true
}

func (r *recorded) Get(gocv.VideoCaptureProperties) float64 {
	return float64((time.Duration(max(r.read-2, 0)) * r.interval).Milliseconds()) // as FFmpeg has it
}

func (*recorded) Close() error { return nil }

func TestPicturesThatCameWhileItWasOpenedArePassedOver(t *testing.T) {
	const interval = time.Second // a busy machine holds up none of the first for most of it
	for name, c := range map[string]struct {
		pauses []time.Duration
		want   int
	}{
		"four that waited":            {[]time.Duration{0, 0, 0, 0, interval, 0}, 5},
		"fewer than tell the time":    {[]time.Duration{0, interval, interval, 0}, 3},
		"it ends before one is taken": {[]time.Duration{0, 0}, 2},
	} {
		camera := &recorded{interval: interval, pauses: c.pauses}
		from := &caughtUp{stream: camera}
		if ok := from.Read(nil); camera.read != c.want || ok != (len(c.pauses) > c.want) {
			t.Errorf("%s: number %d is the first, %v; want %d", name, camera.read, ok, c.want)
		}
		if before := camera.read; from.Read(nil) && camera.read != before+1 {
			t.Errorf("%s: %d are passed over later", name, camera.read-before-1)
		}
	}
}

// The first picture is awaited for longer than that.
func TestAStreamWithWrongTimesIsNotPassedOverForEver(t *testing.T) {
	const pause = 50 * time.Millisecond
	camera := &recorded{interval: time.Hour}
	for range startLimit / pause {
		camera.pauses = append(camera.pauses, pause)
	}
	if from := (&caughtUp{stream: camera}); !from.Read(nil) {
		t.Errorf("none of %d pictures is taken", camera.read)
	}
}
