// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"fmt"
	"os"

	"gocv.io/x/gocv"
)

// toOpenCV is what OpenCV reads from the environment of the process; it holds for every camera.
var toOpenCV = map[string]string{
	"OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "1", // second, so that an abandoned read ends soon
	// TCP, because lost UDP packets show as grey smears. stimeout (microseconds) exists before FFmpeg 5 and is ignored
	// since; its new name, timeout, means "listen" to the old ones, so newer ones rely on our own deadline.
	"OPENCV_FFMPEG_CAPTURE_OPTIONS": "rtsp_transport;tcp|stimeout;1500000",
}

// TellOpenCV says how it is to open cameras. Call it once, before anything is opened: the threads of C libraries read the environment
// whenever they like, and die of one that changes meanwhile.
func TellOpenCV() error {
	for name, value := range toOpenCV {
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("tell OpenCV how to open cameras: %w", err)
		}
	}
	return nil
}

// openRTSP opens a network camera.
func openRTSP(ctx context.Context, s Settings, _ string) (Source, error) {
	opened, err := follow(ctx, s.StallLimit, func() (*gocv.VideoCapture, error) {
		return openCapture(s.URI, gocv.VideoCaptureFFmpeg)
	})
	if err != nil {
		return nil, fmt.Errorf("the network camera does not answer or refuses us (%w): check address, user and password_file", err)
	}
	return opened, nil
}

// openCSI opens a camera on the ribbon cable through GStreamer.
func openCSI(ctx context.Context, s Settings, number string) (Source, error) {
	text, err := csiPipeline(s, number)
	if err != nil {
		return nil, err
	}
	opened, err := follow(ctx, s.StallLimit, func() (*gocv.VideoCapture, error) {
		return openCapture(text, gocv.VideoCaptureGstreamer)
	})
	if err != nil {
		return nil, fmt.Errorf("%w: is the ribbon cable in, and is the GStreamer plug-in of csi_driver installed?", err)
	}
	return opened, nil
}
