// SPDX-License-Identifier: Apache-2.0

//go:build camera

package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/preprocess"
	"visavis/capture/internal/v4l2"
	"visavis/capture/internal/waiting"
)

// These tests need a camera: `make test-vm` gives them two inside a virtual machine, and anybody may give them theirs.
//
//	VISAVIS_TEST_CAMERA    device path of a camera with moving pictures of 640x480
//	VISAVIS_TEST_FORMAT    pixel_format to ask for, default auto
//	VISAVIS_TEST_PICTURES  folder with the JPEG files that the camera sends, if they are known

func testCamera(t testing.TB, reader string) Settings {
	t.Helper()
	path := os.Getenv("VISAVIS_TEST_CAMERA")
	if path == "" {
		t.Fatal("VISAVIS_TEST_CAMERA names no camera")
	}
	return Settings{URI: "v4l2:" + path, Width: 640, Height: 480, FPS: 15, Reader: reader, PixelFormat: os.Getenv("VISAVIS_TEST_FORMAT"),
		StallLimit: waiting.Most, OpenLimit: waiting.Most}
}

func openTestCamera(t testing.TB, reader string) (Source, *frame.Picture) {
	t.Helper()
	opened, err := Open(context.Background(), testCamera(t, reader))
	if err != nil {
		t.Fatal(err)
	}
	pool := frame.NewPool(1)
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
		pool.Close()
	})
	picture, _ := pool.Get()
	return opened, picture
}

func TestCamerasConform(t *testing.T) {
	for _, reader := range []string{"direct", "opencv"} {
		t.Run(reader, func(t *testing.T) { conform(t, testCamera(t, reader)) })
	}
}

func TestTheDriversNumbersAndTimesAreKept(t *testing.T) {
	before := frame.MonotonicNs()
	opened, picture := openTestCamera(t, "direct")
	sequence := uint64(0)
	for n := range 20 {
		if err := opened.Grab(context.Background(), picture); err != nil {
			t.Fatal(err)
		}
		if picture.DriverSeq <= sequence {
			t.Fatalf("picture %d has number %d after %d", n, picture.DriverSeq, sequence)
		}
		if now := frame.MonotonicNs(); picture.CapturedNs <= before || picture.CapturedNs >= now {
			t.Fatalf("picture %d was captured at %d, not between %d and %d", n, picture.CapturedNs, before, now)
		}
		sequence, before = picture.DriverSeq, picture.CapturedNs
	}
}

func TestTheCamerasJPEGIsPassedOnUntouched(t *testing.T) {
	files := sentFiles(t)
	sent := map[string]string{}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sent[string(content)] = file
	}
	opened, picture := openTestCamera(t, "direct")
	seen := map[string]bool{}
	for range 3 * len(files) {
		if err := opened.Grab(context.Background(), picture); err != nil {
			t.Fatal(err)
		}
		file, known := sent[string(picture.JPEG)]
		if !known {
			t.Fatalf("a JPEG of %d bytes is none of those that the camera sent", len(picture.JPEG))
		}
		seen[file] = true
	}
	if len(seen) < 2 {
		t.Fatalf("only %v came: the picture does not move", seen)
	}
}

func TestBothReadersSeeTheSame(t *testing.T) {
	decoded := map[string]bool{}
	for _, file := range sentFiles(t) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		picture := emptyPicture(t, 640, 480)
		if err := unpackJPEG(content, v4l2.Format{Width: 640, Height: 480}, picture); err != nil {
			t.Fatal(err)
		}
		decoded[string(picture.Pixels)] = true
	}
	for _, reader := range []string{"direct", "opencv"} {
		opened, picture := openTestCamera(t, reader)
		for n := range 10 {
			if err := opened.Grab(context.Background(), picture); err != nil {
				t.Fatal(err)
			}
			if !decoded[string(picture.Pixels)] {
				t.Fatalf("picture %d of reader %s is none of those that the camera sent", n, reader)
			}
		}
		if err := opened.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// bars are the colours of vivid's first pattern from left to right, each channel full or dark, in the order b, g, r.
var bars = [][3]bool{{true, true, true}, {false, true, true}, {true, true, false}, {false, true, false}, {true, false, true}, {false, false, true}, {true, false, false}, {false, false, false}}

func TestEveryFormatAndSizeShowsTheSameBars(t *testing.T) {
	for _, size := range [][2]int{{320, 180}, {640, 360}, {640, 480}, {1280, 720}} {
		for pixels, unpack := range unpackers() {
			wish := v4l2.Wish{Width: size[0], Height: size[1], FPS: 5, Pixels: []v4l2.FourCC{pixels}}
			camera, err := v4l2.Open(os.Getenv("VISAVIS_TEST_CAMERA"), wish)
			if errors.Is(err, v4l2.ErrNoFormat) {
				continue // vivid has no JPEG
			}
			if err != nil {
				t.Fatalf("%v of %v: %v", pixels, size, err)
			}
			t.Run(fmt.Sprintf("%v %dx%d", pixels, size[0], size[1]), func(t *testing.T) { seesBars(t, camera, unpack, size) })
		}
	}
}

func seesBars(t *testing.T, camera *v4l2.Camera, unpack unpacker, size [2]int) {
	defer func() {
		if err := camera.Close(); err != nil {
			t.Error(err)
		}
	}()
	format := camera.Format()
	if format.Width != size[0] || format.Height != size[1] {
		t.Fatalf("asked for %v, got %+v", size, format)
	}
	shot, err := camera.Next(context.Background(), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	picture := emptyPicture(t, size[0], size[1])
	if err := unpack(shot.Bytes, format, picture); err != nil {
		t.Fatal(err)
	}
	for n, want := range bars {
		at := 3 * (size[1]*3/4*size[0] + size[0]*(2*n+1)/(2*len(bars)))
		for channel, full := range want {
			if value := picture.Pixels[at+channel]; (value > 128) != full {
				t.Errorf("bar %d is %v", n, picture.Pixels[at:at+3])
				break
			}
		}
	}
}

// sentFiles are the pictures that the camera sends.
func sentFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(os.Getenv("VISAVIS_TEST_PICTURES"), "*.jpg"))
	if err != nil || len(files) == 0 {
		t.Skip("VISAVIS_TEST_PICTURES names no folder with JPEG files: this camera's pictures are not known")
	}
	return files
}

func TestACameraInUseSaysSo(t *testing.T) {
	opened, picture := openTestCamera(t, "direct")
	if err := opened.Grab(context.Background(), picture); err != nil {
		t.Fatal(err)
	}
	wanted := testCamera(t, "direct")
	path, _ := nodeOf(wanted.URI)
	_, err := openDirect(context.Background(), wanted, path) // as another program would
	if !errors.Is(err, syscall.EBUSY) {
		t.Fatalf("a second reader got %v, want EBUSY", err)
	}
}

func TestAnEndedContextEndsTheWaitForACamera(t *testing.T) {
	opened, picture := openTestCamera(t, "direct")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := opened.Grab(ctx, picture); !errors.Is(err, context.Canceled) {
		t.Fatalf("Grab returned %v, want the context's end", err)
	}
}

// BenchmarkReaders prints what one picture costs each reader in processor time; the wait for the camera costs nothing.
func BenchmarkReaders(b *testing.B) {
	preprocess.OneThreadEach() // as the daemon does
	for _, reader := range []string{"direct", "opencv"} {
		b.Run(reader, func(b *testing.B) {
			opened, picture := openTestCamera(b, reader)
			before := processorTime(b)
			for b.Loop() {
				if err := opened.Grab(context.Background(), picture); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-us/picture")
		})
	}
}

func processorTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
