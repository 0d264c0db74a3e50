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
		if got := takenNs(c.shot, nowNs); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
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

// A pipe stands in for a silent camera: it can be polled and never becomes readable.
func TestTheWaitForAPictureEnds(t *testing.T) {
	reads, writes, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reads.Close()
	defer writes.Close()
	empty := func(int) error { return unix.EAGAIN }
	if err := wait(context.Background(), reads, time.Millisecond, empty); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("after the limit: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(time.Millisecond, cancel)
	if err := wait(ctx, reads, time.Hour, empty); !errors.Is(err, context.Canceled) {
		t.Fatalf("after the context's end: %v", err)
	}
}
