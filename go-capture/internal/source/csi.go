// SPDX-License-Identifier: Apache-2.0

package source

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
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
	name, err := cameraName("/sys", int(sensor))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("libcamerasrc%s ! video/x-raw,%s ! %s", name, size, sink), nil
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

// plainName is what device-tree paths are made of; anything else could mean something in a pipeline's text.
var plainName = regexp.MustCompile(`^[A-Za-z0-9/@_,.-]+$`)

// cameraName is the property that selects a sensor. libcamera selects by name and takes the first camera without one; its
// name of a sensor is the path of the sensor's node in the device tree, below /base.
func cameraName(sys string, number int) (string, error) {
	sensors, err := sensorNodes(sys)
	if err != nil {
		return "", err
	}
	if number < len(sensors) {
		return fmt.Sprintf(" camera-name=%q", sensors[number]), nil
	}
	if number == 0 {
		return "", nil // no device tree, as on a PC: whatever libcamera finds first
	}
	return "", fmt.Errorf("csi:%d does not exist: sensors found are %v, counted from 0", number, sensors)
}

// sensorNodes lists the camera sensors in the order of their names: what sits on an I2C bus, is part of a video device and
// has a port for pictures, which the motor of a lens has not.
func sensorNodes(sys string) ([]string, error) {
	links, err := filepath.Glob(filepath.Join(sys, "class/video4linux/v4l-subdev*/device/of_node"))
	if err != nil {
		return nil, err
	}
	var sensors []string
	for _, link := range links {
		node, err := filepath.EvalSymlinks(link)
		if err != nil {
			continue // unplugged between the two looks
		}
		_, path, isTree := strings.Cut(node, "/devicetree/base/")
		ports, _ := filepath.Glob(filepath.Join(node, "port*")) // the pattern is right
		if isTree && len(ports) > 0 && strings.Contains(path, "i2c") && plainName.MatchString(path) {
			sensors = append(sensors, "/base/"+path)
		}
	}
	slices.Sort(sensors)
	return slices.Compact(sensors), nil
}
