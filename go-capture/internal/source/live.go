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
	// since; its new name, timeout, means "listen" to the old ones, so newer ones rely on our own deadline. It holds for opening too.
	// FFmpeg would look at 20 pictures to learn how many come a second, which nobody asks it: seconds of a camera that gives few. But it
	// is to wait for the first key frame for as long as it does then, and not for 50 packets.
	"OPENCV_FFMPEG_CAPTURE_OPTIONS": fmt.Sprintf("rtsp_transport;tcp|fpsprobesize;0|max_ts_probe;5000|stimeout;%d", openLimit.Microseconds()),
	ffmpegSays:                      "-8", // nothing: a camera that is away would write a line at each try into the log, past ours
}

// ffmpegSays may be set by who wants to know more of a camera.
const ffmpegSays = "OPENCV_FFMPEG_LOGLEVEL"

// TellOpenCV says how it is to open cameras. Call it once, before anything is opened: the threads of C libraries read the environment
// whenever they like, and die of one that changes meanwhile.
func TellOpenCV() error {
	for name, value := range toOpenCV {
		if name == ffmpegSays && os.Getenv(name) != "" {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("tell OpenCV how to open cameras: %w", err)
		}
	}
	return nil
}

// openCSI opens a camera on the ribbon cable through GStreamer.
func openCSI(ctx context.Context, s Settings, number string) (Source, error) {
	text, err := csiPipeline(s, number)
	if err != nil {
		return nil, err
	}
	opened, err := follow(ctx, s, func() (openCVCapture, error) {
		return openCapture(text, gocv.VideoCaptureGstreamer)
	})
	if err != nil {
		return nil, fmt.Errorf("%w: is the ribbon cable in, and is the GStreamer plug-in of csi_driver installed?", err)
	}
	return opened, nil
}
