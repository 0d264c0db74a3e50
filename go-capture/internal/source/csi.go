// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"math"
	"os"
	"strconv"
)

// argusLibrary exists where NVIDIA's camera stack does.
const argusLibrary = "/usr/lib/aarch64-linux-gnu/gstreamer-1.0/libgstnvarguscamerasrc.so"

// csiPipeline writes the GStreamer pipeline from numbers alone: no text of a user gets into it. The sink keeps one
// picture and drops older ones, so that what is read is the newest.
func csiPipeline(s Settings, number string) (string, error) {
	sensor, err := strconv.ParseUint(number, 10, 8)
	if err != nil {
		return "", fmt.Errorf("sensor %q is not a number from 0 to 255", number)
	}
	rate, scale := int(math.Round(s.FPS*100)), 100
	size := fmt.Sprintf("width=%d,height=%d,framerate=%d/%d", s.Width, s.Height, rate, scale)
	const sink = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
	if csiDriver(s.CSIDriver) == "argus" {
		return fmt.Sprintf("nvarguscamerasrc sensor-id=%d ! video/x-raw(memory:NVMM),%s,format=NV12 ! nvvidconv ! video/x-raw,format=BGRx ! %s",
			sensor, size, sink), nil
	}
	return fmt.Sprintf("libcamerasrc camera-number=%d ! video/x-raw,%s ! %s", sensor, size, sink), nil
}

// csiDriver decides "auto" by what is installed.
func csiDriver(asked string) string {
	if asked != "" && asked != "auto" {
		return asked
	}
	if _, err := os.Stat(argusLibrary); err == nil {
		return "argus"
	}
	return "libcamera"
}
