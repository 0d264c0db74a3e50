// SPDX-License-Identifier: Apache-2.0

// Package source opens cameras and video files. Each kind is one file and one line in the table of openers.
package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"visavis/capture/internal/frame"
)

// ErrStalled says that a camera gave no picture in time: unplugged, switched off or hanging.
var ErrStalled = errors.New("no picture came in time: is the camera plugged in and switched on?")

const (
	// leastStallLimit keeps the notice of a lost camera under two seconds, closing and telling included.
	leastStallLimit = 1200 * time.Millisecond
	// stallIntervals is how many pictures a slow camera may leave out.
	stallIntervals = 3
)

// StallLimit is how long a camera of so many pictures a second may be silent.
func StallLimit(fps float64) time.Duration {
	if fps <= 0 {
		return leastStallLimit
	}
	return max(leastStallLimit, time.Duration(stallIntervals/fps*float64(time.Second)))
}

// Source gives one camera's pictures.
type Source interface {
	// Grab waits for the next new picture and writes it into `into`: size, pixels, JPEG, CapturedNs. It returns within
	// the stall limit, for the first picture within the start limit, when the camera gives nothing, and never gives an old picture as new.
	Grab(ctx context.Context, into *frame.Picture) error
	// Close frees the camera; a second call does nothing.
	Close() error
}

// Settings say what to open and what to ask the camera for.
type Settings struct {
	URI           string
	Width, Height int
	FPS           float64
	MostFPS       float64       // pictures a second that are wanted at most, 0 = all
	Reader        string        // "auto", "direct", "opencv": of v4l2 cameras
	PixelFormat   string        // "auto", "mjpg", "yuyv": of v4l2 cameras
	CSIDriver     string        // "auto", "libcamera", "argus": of csi cameras
	StallLimit    time.Duration // 0: as the pictures a second say
	OpenLimit     time.Duration // 0: openLimit
	Feed          Feed          // of push: cameras
	Waits         func(error)   // told why it waits long for others, and nil when that is over; nil: nobody asks. In the goroutine of Open or Grab
}

type opener func(context.Context, Settings, string) (Source, error)

// openers is an allow-list: an address with another scheme is refused, and no part of an address reaches a shell or a
// pipeline's text.
func openers() map[string]opener {
	return map[string]opener{
		"demo": pacing(openDemo), "file": pacing(openFile), "v4l2": claiming(openV4L2), "csi": pacing(openCSI),
		"rtsp": pacing(openRTSP), "rtsps": pacing(openRTSP), "push": openPush,
	}
}

// Open opens the camera that s.URI names. The error says what was opened and what to do.
func Open(ctx context.Context, s Settings) (Source, error) {
	scheme, rest, _ := strings.Cut(s.URI, ":")
	open, known := openers()[scheme]
	if !known {
		return nil, fmt.Errorf("open source: scheme %q is not one of v4l2, csi, rtsp, rtsps, file, demo, push", scheme)
	}
	s.StallLimit, s.OpenLimit = cmp.Or(s.StallLimit, StallLimit(s.FPS)), cmp.Or(s.OpenLimit, openLimit)
	opened, err := open(ctx, s, rest)
	if err != nil {
		return nil, fmt.Errorf("open %s source: %w", scheme, err)
	}
	return opened, nil
}
