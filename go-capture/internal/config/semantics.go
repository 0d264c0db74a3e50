// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"visavis/capture/internal/secretfile"
	"visavis/capture/internal/zone"
)

const nameMost = 32

// checkTogether checks settings that depend on others, and finds the device's name when none is set.
func (r *reader) checkTogether(c *Config) {
	if c.Device.ID == "" {
		c.Device.ID = hostName(os.Hostname())
	}
	if c.BeyondLoopback() && !c.Auth.Enabled {
		r.blame("web.listen", fmt.Sprintf("%q lets other machines in without a login", c.Web.Listen),
			"add a section [auth] and `visavis auth add NAME --role admin`, or keep 127.0.0.1")
	}
	if beyondLoopback(c.Gateway.GrpcListen) && !c.Auth.Enabled {
		r.blame("gateway.grpc_listen", fmt.Sprintf("%q lets other machines in without a login", c.Gateway.GrpcListen),
			"add a section [auth] and `visavis auth add NAME --role operator --token`, or keep 127.0.0.1")
	}
	r.checkPair("web.cert", c.Web.Cert, "web.key", c.Web.Key)
	r.checkPair("web.key", c.Web.Key, "web.cert", c.Web.Cert)
	c.Web.HTTPS = c.Web.HTTPS || c.Web.Cert != ""
	r.checkBrokers(c)
	if c.Detector.Backend == "kserve" {
		r.checkServer(c)
	}
	if c.Thermal.ThrottleAtC > 0 && c.Thermal.ResumeAtC >= c.Thermal.ThrottleAtC {
		r.blame(r.written("thermal.resume_at_c", "thermal.throttle_at_c"), "thermal.resume_at_c is not below thermal.throttle_at_c",
			"leave some degrees between them, 78 and 72 for example")
	}
	seen, devices := map[string]string{}, map[string]string{}
	for i, camera := range c.Cameras {
		at := element("camera", i)
		r.checkUnique(seen, camera.ID, at+".id")
		r.checkDevice(devices, camera, at+".source")
		r.checkLogin(camera, at)
		r.checkPlaces(camera, at)
	}
}

// checkServer checks that there is a model server, and that enough time is left when it says nothing.
func (r *reader) checkServer(c *Config) {
	if c.Detector.KServeURL == "" && !r.refused("detector.kserve_url") {
		r.blame("detector.kserve_url", "is missing for the backend kserve", "add kserve_url or choose another backend")
	}
	if 2*c.Detector.KServeDeadlineMs > c.Worker.LeaseMs {
		r.blame(r.written("detector.kserve_deadline_ms", "worker.lease_ms"), "leaves no time to infer a frame here when the server fails",
			"set detector.kserve_deadline_ms to at most half of worker.lease_ms")
	}
	if 2*c.Detector.KServeDeadlineMs > c.Gateway.DeadlineMs {
		r.blame(r.written("detector.kserve_deadline_ms", "gateway.deadline_ms"), "leaves no time to infer a client's picture here when the server fails: it is refused with 503",
			fmt.Sprintf("set detector.kserve_deadline_ms to at most half of gateway.deadline_ms, or gateway.deadline_ms to %d", 2*c.Detector.KServeDeadlineMs))
	}
}

// written is the first of two keys that do not go together, or the second where only that was written.
func (r *reader) written(key, other string) string {
	_, one := r.set[key]
	if _, two := r.set[other]; two && !one {
		return other
	}
	return key
}

// blame reports a problem at a key, at the place where it was written; where it was not, the file is blamed.
func (r *reader) blame(key, reason, remedy string) {
	s, set := r.set[key]
	if !set {
		s = setting{origin: origin{file: r.file}}
	}
	s.key = key
	r.problems.add(s, reason, remedy)
}

func (r *reader) checkUnique(seen map[string]string, name, key string) {
	if name == "" {
		return // already reported
	}
	if first, taken := seen[name]; taken {
		r.blame(key, fmt.Sprintf("%q is already the name at %s", name, first), "choose another name")
		return
	}
	seen[name] = key
}

// checkPair reports a key that has no use without another.
func (r *reader) checkPair(key, value, otherKey, other string) {
	if value != "" && other == "" && !r.refused(otherKey) {
		r.blame(key, "has no use without "+otherKey, "set both or neither")
	}
}

// refused tells whether a key already has a problem of its own.
func (r *reader) refused(key string) bool {
	for _, p := range *r.problems {
		if p.Key == key {
			return true
		}
	}
	return false
}

// checkDevice checks that no two cameras read the device of one name: the second would be lost for ever. Where a link of /dev/v4l leads
// changes with a plug, and costs no more than one camera (source.claiming).
func (r *reader) checkDevice(seen map[string]string, c Camera, key string) {
	scheme, device, _ := strings.Cut(c.Source, ":")
	if scheme != string(SchemeV4L2) && scheme != string(SchemeCSI) {
		return // of files and networks everybody may read
	}
	device = filepath.Clean(device)
	if first, taken := seen[scheme+":"+device]; taken {
		r.blame(key, "is the device of "+first+" as well, and only one can have it", "name another one, or remove a [[camera]]")
		return
	}
	seen[scheme+":"+device] = key
}

func (r *reader) checkLogin(c Camera, at string) {
	if c.User != "" && !c.network() {
		r.blame(at+".user", "only rtsp:// and rtsps:// cameras have a login", "remove it")
		return
	}
	r.checkSecret(at+".password_file", c.PasswordFile, secretfile.Bytes)
	if !c.hasPlaces() {
		r.checkPair(at+".password_file", c.PasswordFile, at+".user", c.User)
		return
	}
	r.checkPlace(c, at+".user", userPlace, c.User)
	r.checkPlace(c, at+".password_file", passwordPlace, c.PasswordFile)
}

// checkPlace checks that a part of a login is there where the source has a place for it, and only there.
func (r *reader) checkPlace(c Camera, key, place, value string) {
	switch has := strings.Contains(c.Source, place); {
	case r.refused(key):
	case has && value == "":
		r.blame(key, "is missing, and the source has "+place, "set it, or write the source without "+place)
	case !has && value != "":
		r.blame(key, "has no place in this source, which says itself where the login goes", "write "+place+" where the camera wants it, or remove it")
	}
}

// checkPlaces checks that zones and lines can be told apart, and that lines have two sides.
func (r *reader) checkPlaces(c Camera, at string) {
	seen := map[string]string{}
	for i, zone := range c.Zones {
		r.checkUnique(seen, zone.Name, element(at+".zones", i)+".name")
	}
	for i, line := range c.Lines {
		here := element(at+".lines", i)
		r.checkUnique(seen, line.Name, here+".name")
		if reason := zone.LineOf(line.Name, line.Start, line.End).Flaw(); reason != "" && !r.refused(here+".start") && !r.refused(here+".end") {
			r.blame(here+".end", reason, "move its end")
		}
	}
}

// hostName makes the machine's name safe for topics.
func hostName(name string, err error) string {
	safe := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '_', c == '-':
			return c
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		}
		return '-'
	}, strings.SplitN(name, ".", 2)[0])
	safe = strings.Trim(safe[:min(len(safe), nameMost)], "-")
	if err != nil || safe == "" {
		return "visavis"
	}
	return safe
}
