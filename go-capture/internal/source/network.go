// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gocv.io/x/gocv"
)

const (
	// openIntervals is how many pictures a network camera may send until it is open, beside the time that each may take: FFmpeg looks at
	// eight of them, or at those of five seconds, and at three at least.
	openIntervals = 5
	// catchUpMost ends the wait for a picture of now where the stream's times are wrong; it is shorter than the wait for a first picture.
	catchUpMost = 2 * time.Second
)

// openRTSP opens a network camera.
func openRTSP(ctx context.Context, s Settings, _ string) (Source, error) {
	if err := knock(ctx, s.URI, s.OpenLimit); err != nil {
		return nil, fmt.Errorf("the network camera does not answer (%w): is it switched on, and is its address right?", err)
	}
	if s.FPS > 0 {
		s.OpenLimit += time.Duration(openIntervals / s.FPS * float64(time.Second))
	}
	opened, err := followInTurn(ctx, s, func() (openCVCapture, error) {
		return openNetwork(s)
	})
	if errors.Is(err, errNoTurn) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("the network camera answers but gives no picture (%w): check the path of its address, user and password_file, "+
			"and set fps if it sends few pictures", err)
	}
	return opened, nil
}

// How long OpenCV waits for a network camera, in ms; gocv has no names for these.
const (
	openTimeout gocv.VideoCaptureProperties = 53 // cv::CAP_PROP_OPEN_TIMEOUT_MSEC
	readTimeout gocv.VideoCaptureProperties = 54 // cv::CAP_PROP_READ_TIMEOUT_MSEC
	threadsMost gocv.VideoCaptureProperties = 70 // cv::CAP_PROP_N_THREADS
)

// knowsThreads tells whether this OpenCV, such as 4.10.0, has threadsMost: 4.7 was the first, and one that does not know it opens nothing.
func knowsThreads(version string) bool {
	var major, minor int
	_, err := fmt.Sscanf(version, "%d.%d", &major, &minor)
	return err == nil && (major > 4 || major == 4 && minor >= 7)
}

// openNetwork lets OpenCV give up when we do: its own 30 s would leave a thread behind at each try of a camera that falls silent. The first
// key frame is waited for while it opens, so no read needs the start limit. FFmpeg is to decode in one thread: with more each of them has a
// picture of its own, and each picture comes as many later as there are further ones, which of few pictures a second are seconds.
func openNetwork(s Settings) (openCVCapture, error) {
	ms := func(d time.Duration) gocv.VideoCaptureProperties {
		return gocv.VideoCaptureProperties(d.Milliseconds())
	}
	wanted := []gocv.VideoCaptureProperties{openTimeout, ms(s.OpenLimit), readTimeout, ms(s.StallLimit)}
	if knowsThreads(gocv.OpenCVVersion()) {
		wanted = append(wanted, threadsMost, 1)
	}
	capture, err := usable(gocv.OpenVideoCaptureWithAPIParams(s.URI, gocv.VideoCaptureFFmpeg, wanted))
	if err != nil {
		return nil, err
	}
	return &caughtUp{stream: capture}, nil
}

// stream is a gocv.VideoCapture that knows the times of its pictures.
type stream interface {
	openCVCapture
	Get(gocv.VideoCaptureProperties) float64
}

// caughtUp begins with a picture of now. While FFmpeg opens a stream it reads as many pictures as it needs to know it, and a camera may
// send all since its last key frame: they are seconds old, and come at once.
type caughtUp struct {
	stream
	begun bool
}

func (c *caughtUp) Read(into *gocv.Mat) bool {
	if c.begun {
		return c.stream.Read(into)
	}
	c.begun = true
	return c.stream.Read(into) && c.catchUp(into)
}

// catchUp passes over pictures that come faster than they were taken. The first two may have the same time, for FFmpeg gives it late.
func (c *caughtUp) catchUp(into *gocv.Mat) bool {
	for began := time.Now(); ; {
		asked, before := time.Now(), c.at()
		if !c.stream.Read(into) {
			return false
		}
		apart := c.at() - before
		if apart > 0 && time.Since(asked) > apart*3/4 || time.Since(began) > catchUpMost {
			return true
		}
	}
}

// at is when the newest picture was taken, by the stream's own clock.
func (c *caughtUp) at() time.Duration {
	return time.Duration(c.Get(gocv.VideoCapturePosMsec) * float64(time.Millisecond))
}
