// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
)

// ErrEnded says that a stream has no further picture.
var ErrEnded = errors.New("the stream ended")

// watched reads an OpenCV capture with a deadline. OpenCV's read may block for ever, so it runs in a goroutine of its
// own and writes into a Mat of its own: a read that comes back after the deadline writes into nobody's picture. The
// goroutine alone touches the capture and closes it when it is told to, or when its late read comes back.
type watched struct {
	limit    time.Duration
	wanted   chan struct{} // capacity 1: read the next picture
	answered chan error    // capacity 1: it is in mat
	mat      gocv.Mat      // owned by the goroutine between wanted and answered
	stop     sync.Once
	broken   bool // a read was given up: what it brings later is old, so this source gives nothing any more
}

func watch(capture *gocv.VideoCapture, limit time.Duration) *watched {
	w := &watched{limit: limit, wanted: make(chan struct{}, 1), answered: make(chan error, 1), mat: gocv.NewMat()}
	go w.read(capture)
	return w
}

func (w *watched) read(capture *gocv.VideoCapture) {
	// Nobody is left to hear of a failed close; the process loses one descriptor at most.
	defer func() { _, _ = capture.Close(), w.mat.Close() }()
	for range w.wanted {
		if capture.Read(&w.mat) && !w.mat.Empty() {
			w.answered <- nil
		} else {
			w.answered <- ErrEnded
		}
	}
}

// Grab waits for one picture at most the limit; after a stall this source is done with.
func (w *watched) Grab(ctx context.Context, into *frame.Picture) error {
	if w.broken {
		return ErrStalled
	}
	w.wanted <- struct{}{}
	timer := time.NewTimer(w.limit)
	defer timer.Stop()
	select {
	case err := <-w.answered:
		if err != nil {
			return err
		}
	case <-timer.C:
		w.broken = true
		return ErrStalled
	case <-ctx.Done():
		w.broken = true
		return ctx.Err()
	}
	into.CapturedNs, into.DriverSeq, into.JPEG = frame.MonotonicNs(), 0, nil
	return w.copyTo(into)
}

func (w *watched) copyTo(into *frame.Picture) error {
	if w.mat.Type() != gocv.MatTypeCV8UC3 {
		return fmt.Errorf("the camera gives pictures of type %v, wanted 8-bit BGR", w.mat.Type())
	}
	if err := into.SetSize(w.mat.Cols(), w.mat.Rows()); err != nil {
		return err
	}
	return drawInto(into, func(picture *gocv.Mat) error { return w.mat.CopyTo(picture) })
}

// Close lets the goroutine end; a read that still hangs ends it later.
func (w *watched) Close() error {
	w.stop.Do(func() { close(w.wanted) })
	return nil
}
