// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"
)

// FuzzParseSource: only what is on the list is a camera, and nothing else is said by its address than where it is.
func FuzzParseSource(f *testing.F) {
	for _, uri := range []string{"demo:", "push:", "csi:0", "file:clip.mp4", "v4l2:/dev/video0", "v4l2:/dev/../etc/passwd", "rtsp://192.0.2.7/stream",
		"rtsp://a:b@host/", "exec:sh", "file://host/x", "rtsps://[::1]:0/", "csi:0 ! fakesink"} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		source, bad := parseSource(uri)
		if bad != nil {
			return
		}
		if string(source.Scheme)+":"+source.Rest != uri {
			t.Fatalf("%q is taken apart into %q and %q", uri, source.Scheme, source.Rest)
		}
		switch source.Scheme {
		case SchemeCSI:
			if len(source.Rest) != 1 {
				t.Errorf("%q is a sensor", uri)
			}
		case SchemeV4L2:
			if !strings.HasPrefix(source.Rest, "/dev/") || strings.Contains(source.Rest, "..") {
				t.Errorf("%q is a device", uri)
			}
		case SchemeRTSP, SchemeRTSPS:
			if strings.ContainsAny(source.Rest, " \r\n\x00") {
				t.Errorf("%q is an address", uri)
			}
		case SchemeDemo, SchemePush:
			if source.Rest != "" {
				t.Errorf("%q says more than its scheme", uri)
			}
		case SchemeFile:
		default:
			t.Errorf("%q has the scheme %q", uri, source.Scheme)
		}
	})
}

// FuzzShown: of a network camera's address everybody may see where it is, and nobody more.
func FuzzShown(f *testing.F) {
	for _, source := range []string{"rtsp://192.0.2.7/stream", "rtsp://192.0.2.7/user=anna&password=secret", "rtsps://[::1]:554?password=secret#x",
		"rtsp://anna:p@ss:w/rd@192.0.2.7/", "rtsp://host", "rtsp://%zz", "file:/srv/clip.mp4", "demo:"} {
		f.Add(source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		shown := Camera{Source: source}.Shown()
		scheme, rest, network := strings.Cut(source, "://")
		if !network {
			if shown != source {
				t.Errorf("%q shows %q", source, shown)
			}
			return
		}
		host := strings.TrimSuffix(strings.TrimPrefix(shown, scheme+"://"), "/…")
		if shown != scheme+"://"+rest && !strings.HasSuffix(shown, "/…") || strings.ContainsAny(host, "/?#@") {
			t.Errorf("%q shows %q", source, shown)
		}
	})
}
