// SPDX-License-Identifier: Apache-2.0

package source

import (
	"errors"
	"fmt"
	"os"

	"gocv.io/x/gocv"
)

// OpenCV reads these from the environment of the process; they hold for every camera.
const (
	v4l2TimeoutVariable = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT" // seconds, so that an abandoned read ends soon
	ffmpegVariable      = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
	// TCP, because lost UDP packets show as grey smears. stimeout (microseconds) exists before FFmpeg 5 and is ignored
	// since; its new name, timeout, means "listen" to the old ones, so newer ones rely on our own deadline.
	ffmpegOptions = "rtsp_transport;tcp|stimeout;1500000"
)

// openV4L2 opens a camera of the kernel by its device path, also one below /dev/v4l/by-id.
func openV4L2(s Settings, path string) (Source, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("%w: plug the camera in, or see `visavis doctor`", err)
	}
	if err := os.Setenv(v4l2TimeoutVariable, "1"); err != nil {
		return nil, err
	}
	capture, err := openCapture(path, gocv.VideoCaptureV4L2)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: is it in use, and may this user open it (group video)?", path, err)
	}
	askFor(capture, s)
	return watch(capture, s.StallLimit), nil
}

// askFor tells the camera what is wanted; it gives the nearest it has. The format goes first: it decides which sizes exist.
func askFor(capture *gocv.VideoCapture, s Settings) {
	formats := map[string]string{"": "MJPG", "auto": "MJPG", "mjpg": "MJPG", "yuyv": "YUYV"}
	capture.Set(gocv.VideoCaptureFOURCC, capture.ToCodec(formats[s.PixelFormat]))
	capture.Set(gocv.VideoCaptureFrameWidth, float64(s.Width))
	capture.Set(gocv.VideoCaptureFrameHeight, float64(s.Height))
	capture.Set(gocv.VideoCaptureFPS, s.FPS)
	capture.Set(gocv.VideoCaptureBufferSize, 1)
}

// openRTSP opens a network camera.
func openRTSP(s Settings, _ string) (Source, error) {
	if err := os.Setenv(ffmpegVariable, ffmpegOptions); err != nil {
		return nil, err
	}
	capture, err := openCapture(s.URI, gocv.VideoCaptureFFmpeg)
	if err != nil {
		return nil, errors.New("the network camera does not answer or refuses us: check address, user and password_file")
	}
	return watch(capture, s.StallLimit), nil
}

// openCSI opens a camera on the ribbon cable through GStreamer.
func openCSI(s Settings, number string) (Source, error) {
	text, err := csiPipeline(s, number)
	if err != nil {
		return nil, err
	}
	capture, err := openCapture(text, gocv.VideoCaptureGstreamer)
	if err != nil {
		return nil, fmt.Errorf("%w: is the ribbon cable in, and is the GStreamer plug-in of csi_driver installed?", err)
	}
	return watch(capture, s.StallLimit), nil
}
