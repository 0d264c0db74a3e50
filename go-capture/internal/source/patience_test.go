// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/v4l2"
	"visavis/capture/internal/waiting"
)

// lateStart is that of a camera that takes longer than the stall limit to its first picture. The limit is longer than a camera's: on a
// busy machine the next picture is late as well.
const (
	patientStall = 2500 * time.Millisecond
	lateStart    = 3500 * time.Millisecond
)

// slow is a camera that takes so long to each picture in turn, and falls silent then: none that does can be had here.
type slow struct {
	pauses []time.Duration
	free   chan struct{} // ends the silence
}

// next waits for a picture, at most the limit.
func (s *slow) next(limit time.Duration) bool {
	pause := time.Hour
	if len(s.pauses) > 0 {
		pause = s.pauses[0]
	}
	select {
	case <-time.After(min(pause, limit)):
	case <-s.free:
	}
	if pause > limit || len(s.pauses) == 0 {
		return false
	}
	s.pauses = s.pauses[1:]
	return true
}

// throughOpenCV is the camera as OpenCV gives it, and inKernel as its driver does.
type (
	throughOpenCV struct{ *slow }
	inKernel      struct {
		*slow
		shot []byte
	}
)

func (c throughOpenCV) Read(into *gocv.Mat) bool {
	if !c.next(time.Hour) {
		return false
	}
	made := gocv.NewMatWithSize(16, 32, gocv.MatTypeCV8UC3)
	defer made.Close()
	return made.CopyTo(into) == nil
}

func (throughOpenCV) Close() error { return nil }

func (c inKernel) Next(ctx context.Context, limit time.Duration) (v4l2.Shot, error) {
	if !c.next(limit) {
		return v4l2.Shot{}, os.ErrDeadlineExceeded
	}
	return v4l2.Shot{Bytes: c.shot, TakenNs: frame.MonotonicNs()}, ctx.Err()
}

func (inKernel) Format() v4l2.Format { return v4l2.Format{Width: 32, Height: 16, Pixels: v4l2.MJPG} }
func (inKernel) Close() error        { return nil }

// behindEachReader tests such a camera behind both readers.
func behindEachReader(t *testing.T, pauses []time.Duration, test func(*testing.T, Source)) {
	settings := Settings{URI: "slow", FPS: 30, StallLimit: patientStall, OpenLimit: openLimit}
	for _, reader := range []string{"opencv", "direct"} {
		t.Run(reader, func(t *testing.T) {
			t.Parallel()
			camera := &slow{pauses, make(chan struct{})}
			var source Source = newDirect(settings, inKernel{camera, blueJPEG(t, 32, 16)})
			if reader == "opencv" {
				opened, err := follow(t.Context(), settings, func() (openCVCapture, error) { return throughOpenCV{camera}, nil })
				if err != nil {
					t.Fatal(err)
				}
				source = opened
			}
			test(t, source)
			close(camera.free)
			if err := source.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestACameraMayTakeLongToItsFirstPictureAndIsLostSoonAfterIt(t *testing.T) {
	behindEachReader(t, []time.Duration{lateStart, 10 * time.Millisecond}, func(t *testing.T, camera Source) {
		picture := emptyPicture(t, 32, 16)
		if err := camera.Grab(t.Context(), picture); err != nil {
			t.Fatalf("the first picture: %v", err)
		}
		if err := camera.Grab(t.Context(), picture); err != nil {
			t.Fatalf("the next picture: %v", err)
		}
		began := time.Now()
		if err := camera.Grab(t.Context(), picture); !errors.Is(err, ErrStalled) {
			t.Fatalf("a camera that fell silent: %v", err)
		}
		if took := time.Since(began); took < patientStall || took >= startLimit {
			t.Errorf("it was noticed after %v, want %v", took, patientStall)
		}
	})
}

func TestACameraThatNeverBeginsIsStalledAfterTheStartLimit(t *testing.T) {
	behindEachReader(t, nil, func(t *testing.T, camera Source) {
		began := time.Now()
		if err := camera.Grab(t.Context(), emptyPicture(t, 32, 16)); !errors.Is(err, ErrStalled) {
			t.Errorf("%v", err)
		}
		if took := time.Since(began); took < startLimit {
			t.Errorf("it was given up after %v, want %v", took, startLimit)
		}
	})
}

// A camera that is pulled out before its first picture, as a plug that shakes has it, is not waited for as one that is about to begin.
func TestReadsThatFailAtOnceAreNoSlowStart(t *testing.T) {
	opened, err := follow(t.Context(), Settings{URI: "gone", StallLimit: leastStallLimit, OpenLimit: openLimit},
		func() (openCVCapture, error) { return gone{}, nil })
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	began := time.Now()
	if err := opened.Grab(waiting.Context(t), emptyPicture(t, 32, 16)); !errors.Is(err, ErrStalled) {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took >= startLimit {
		t.Errorf("it was given up after %v, want %v", took, leastStallLimit)
	}
}

// gone is a device that was pulled out.
type gone struct{}

func (gone) Read(*gocv.Mat) bool { return false }
func (gone) Close() error        { return nil }
