// SPDX-License-Identifier: Apache-2.0

package v4l2

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestTheFirstWantedFormatThatTheCameraHasIsChosen(t *testing.T) {
	got, err := choose([]FourCC{MJPG, YUYV}, []FourCC{NV12, YUYV})
	if err != nil || got != YUYV {
		t.Fatalf("%v, %v", got, err)
	}
	_, err = choose([]FourCC{MJPG}, []FourCC{YUYV, NV12})
	if !errors.Is(err, ErrNoFormat) || err.Error() != ErrNoFormat.Error()+": wanted [MJPG], it has [YUYV NV12]" {
		t.Fatalf("%v", err)
	}
}

func TestADriversTimeHoldsWhenItIsPlausible(t *testing.T) {
	const nowNs = int64(100 * time.Second)
	at := func(flags uint32, age time.Duration) *buffer {
		return &buffer{flags: flags, timestamp: unix.NsecToTimeval(nowNs - age.Nanoseconds())}
	}
	for name, c := range map[string]struct {
		shot *buffer
		want int64
	}{
		"monotonic":        {at(timestampSteady, 30*time.Millisecond), nowNs - 30_000_000},
		"unknown clock":    {at(0, 30*time.Millisecond), nowNs},
		"in the future":    {at(timestampSteady, -time.Second), nowNs},
		"from another age": {at(timestampSteady, 6*time.Second), nowNs},
	} {
		var clock driversClock
		if got := clock.takenNs(c.shot, nowNs); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
		if clock.isOld(c.shot, nowNs) {
			t.Errorf("%s: it is not taken for a picture of now", name)
		}
	}
}

// After a daemon that was frozen, what waits in the driver is old, which no clock that goes wrong from the start can say.
func TestAPictureThatHasWaitedIsNoNewOne(t *testing.T) {
	const nowNs = int64(100 * time.Second)
	at := func(flags uint32, age time.Duration) *buffer {
		return &buffer{flags: flags, timestamp: unix.NsecToTimeval(nowNs - age.Nanoseconds())}
	}
	var clock driversClock
	clock.takenNs(at(timestampSteady, 6*time.Second), nowNs)
	if clock.isOld(at(timestampSteady, 6*time.Second), nowNs) {
		t.Error("a clock that was never right decides")
	}
	clock.takenNs(at(timestampSteady, time.Second), nowNs)
	for name, c := range map[string]struct {
		shot *buffer
		old  bool
	}{
		"it has waited":       {at(timestampSteady, 6*time.Second), true},
		"it comes now":        {at(timestampSteady, 5*time.Second), false},
		"of another clock":    {at(0, 6*time.Second), false},
		"it is from tomorrow": {at(timestampSteady, -6*time.Second), false},
	} {
		if got := clock.isOld(c.shot, nowNs); got != c.old {
			t.Errorf("%s: old %v", name, got)
		}
	}
}

func TestWhatIsNoCameraSaysSo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{file: ErrNoCamera, "/dev/null": ErrNoCamera, "/dev/video97": fs.ErrNotExist} {
		if _, err := Open(path, Wish{Width: 640, Height: 480, Pixels: []FourCC{YUYV}}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

// An eventfd stands in for a camera: it can be polled, and becomes readable when told to.
func TestANodeIsACameraAPartOfOneOrNeither(t *testing.T) {
	const camera = capCapture | capStreaming
	for name, c := range map[string]struct {
		can  capability
		part bool
		err  error
	}{
		"old driver":         {capability{capabilities: camera}, false, nil},
		"USB camera":         {capability{capabilities: camera | capDeviceCaps, deviceCaps: camera}, false, nil},
		"its metadata":       {capability{capabilities: camera | capDeviceCaps, deviceCaps: capStreaming}, false, ErrNoCamera},
		"receiver of a Pi 5": {capability{capabilities: camera | capPart | capDeviceCaps, deviceCaps: camera | capPart}, true, nil},
	} {
		if part, err := c.can.video(); part != c.part || !errors.Is(err, c.err) {
			t.Errorf("%s: part %t, %v", name, part, err)
		}
	}
}

func TestTheWaitForAPicture(t *testing.T) {
	camera, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(camera)
	w, err := newWaiter(camera)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	take := func() error { _, err := unix.Read(camera, make([]byte, 8)); return err }

	if err := w.until(context.Background(), time.Millisecond, take); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the limit: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(time.Millisecond, cancel)
	if err := w.until(ctx, time.Hour, take); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context's end: %v", err)
	}
	time.AfterFunc(time.Millisecond, func() { _, _ = unix.Write(camera, []byte{1, 0, 0, 0, 0, 0, 0, 0}) })
	if err := w.until(context.Background(), time.Hour, take); err != nil {
		t.Errorf("after a picture: %v", err)
	}
	if err := w.until(context.Background(), time.Hour, func() error { return unix.ENODEV }); !errors.Is(err, unix.ENODEV) {
		t.Errorf("after a failure: %v", err)
	}
}
