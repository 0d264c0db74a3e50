// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"strings"
)

// Scheme is a kind of camera. There are no others: nothing that a configuration says can start a program.
type Scheme string

// The schemes of camera.source.
const (
	SchemeV4L2  Scheme = "v4l2"  // v4l2:/dev/video0
	SchemeCSI   Scheme = "csi"   // csi:0, the number of the sensor
	SchemeRTSP  Scheme = "rtsp"  // rtsp://host/path
	SchemeRTSPS Scheme = "rtsps" // rtsps://host/path
	SchemeFile  Scheme = "file"  // file:clip.mp4
	SchemeDemo  Scheme = "demo"  // demo:
	SchemePush  Scheme = "push"  // push:
)

// sources checks what stands after the colon of each scheme.
var sources = map[Scheme]func(uri, rest string) *refusal{
	SchemeV4L2:  checkV4L2,
	SchemeCSI:   checkCSI,
	SchemeRTSP:  checkRTSP,
	SchemeRTSPS: checkRTSP,
	SchemeFile:  checkFile,
	SchemeDemo:  checkNothing,
	SchemePush:  checkNothing,
}

// Source is camera.source, taken apart.
type Source struct {
	Scheme Scheme
	Rest   string // what stands after the colon: a path, a number, //host/path, or nothing
}

// parseSource takes a source apart; the refusal says what is wrong and what to write.
func parseSource(uri string) (Source, *refusal) {
	scheme, rest, _ := strings.Cut(uri, ":")
	check, known := sources[Scheme(scheme)]
	if !known || !strings.Contains(uri, ":") {
		return Source{}, refuse("begin with v4l2:, csi:, rtsp://, rtsps://, file:, demo: or push:", "no such kind of camera")
	}
	return Source{Scheme: Scheme(scheme), Rest: rest}, check(uri, rest)
}

func checkV4L2(_, path string) *refusal {
	if !strings.HasPrefix(path, "/dev/") || slices.Contains(strings.Split(path, "/"), "..") {
		return refuse("write for example v4l2:/dev/video0, or a path of /dev/v4l/by-id", "%q is not a device", path)
	}
	return nil
}

func checkCSI(_, number string) *refusal {
	if len(number) != 1 || number[0] < '0' || number[0] > '9' {
		return refuse("write for example csi:0", "%q is not the number of a sensor", number)
	}
	return nil
}

func checkRTSP(uri, _ string) *refusal {
	_, bad := checkURL(uri, "write for example rtsp://192.0.2.7/stream", string(SchemeRTSP), string(SchemeRTSPS))
	return bad
}

func checkFile(_, path string) *refusal {
	if path == "" || strings.HasPrefix(path, "//") {
		return refuse("write for example file:/srv/clip.mp4", "it names no file")
	}
	return nil
}

func checkNothing(_, rest string) *refusal {
	if rest != "" {
		return refuse("end with the colon", "nothing may follow the colon here")
	}
	return nil
}
