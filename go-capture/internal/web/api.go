// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/problem"
)

const (
	pushSource = "push:" // of a camera that clients feed
)

func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	writeText(w, r, "ok\n")
	return nil
}

// ready says whether the device does its work: a worker is connected and an online camera has a result, or all cameras wait for
// clients that push, who must not wait for this in turn, or were ordered not to look. A broker that is down does not count: detections still reach the page,
// events wait, and restarting the device would not help.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	if s.view.Stopping() || !isReady(s.recentStatus().status, s.view.Cameras()) {
		return refusal{Status: http.StatusServiceUnavailable, Title: "Not ready", RetryAfter: 1}
	}
	writeText(w, r, "ready\n")
	return nil
}

func isReady(status Status, cameras []CameraSettings) bool {
	if len(status.Workers) == 0 {
		return false
	}
	if !slices.ContainsFunc(cameras, func(c CameraSettings) bool { return c.Source != pushSource }) {
		return true // it serves clients
	}
	working := func(c CameraStatus) bool { return c.State == CameraOnline && c.Frames.Inferred > 0 }
	stopped := func(c CameraStatus) bool { return c.State == CameraOff || (c.State == CameraOnline && !c.Detect) }
	if slices.ContainsFunc(status.Cameras, working) {
		return true
	}
	return len(status.Cameras) > 0 && !slices.ContainsFunc(status.Cameras, func(c CameraStatus) bool { return !stopped(c) })
}

// Values of headers that are asked for so often that making them anew would show; see shields.
var (
	plainText = []string{"text/plain; charset=utf-8"}
	notKept   = []string{"no-store"}
)

func writeText(w http.ResponseWriter, r *http.Request, text string) {
	h := w.Header()
	h["Content-Type"], h["Cache-Control"] = plainText, notKept
	if r.Method != http.MethodHead {
		_, _ = w.Write([]byte(text)) // the client has gone: nobody is left to tell
	}
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) error {
	text, err := s.statusText(s.visitorOf(r))
	if err != nil {
		return err
	}
	w.Header()["Cache-Control"] = notKept
	problem.WriteJSON(w, r, problem.Answer{ContentType: jsonType, Status: http.StatusOK, Body: text})
	return nil
}

// fullStatus is the newest status as somebody may see it.
func (s *Server) fullStatus(who auth.Identity) Status {
	return s.statusFor(who, s.recentStatus().status)
}

// statusFor adds to the view's status what only the web side knows, with the cameras that somebody may see; empty lists are lists, not
// null. What it is given is shared, and stays as it is.
func (s *Server) statusFor(who auth.Identity, status Status) Status {
	status.Viewers = s.viewers.Taken()
	status.Workers = append([]Worker{}, status.Workers...)
	status.Parts = append([]Part{}, status.Parts...)
	cameras, settings := []CameraStatus{}, s.view.Cameras()
	for _, camera := range status.Cameras {
		if who.MaySee(camera.ID) {
			camera.PictureOld = 1000 * oldFromS(settings, camera.ID)
			s.addViewers(&camera)
			cameras = append(cameras, camera)
		}
	}
	status.Cameras = cameras
	if !who.SeesAll() {
		status.Viewers = viewersOf(cameras)
		hideTexts(&status)
	}
	return status
}

// hideTexts leaves that something is wrong, and not what: that may name settings and cameras of others.
func hideTexts(status *Status) {
	status.Brokers = append([]OneBroker{}, status.Brokers...)
	texts := []*string{&status.Broker.Error}
	for n := range status.Brokers {
		texts = append(texts, &status.Brokers[n].Error)
	}
	for n := range status.Parts {
		texts = append(texts, &status.Parts[n].Error)
	}
	for _, text := range texts {
		if *text != "" {
			*text = "what it is, is told to accounts for every camera"
		}
	}
}

func viewersOf(cameras []CameraStatus) (viewers int) {
	for _, camera := range cameras {
		viewers += camera.Viewers.Now
	}
	return viewers
}

func (s *Server) addViewers(camera *CameraStatus) {
	if camera.LatencyMs == nil {
		camera.LatencyMs = map[string]Latency{}
	}
	camera.Zones = append([]ZoneStatus{}, camera.Zones...)
	camera.Lines = append([]LineStatus{}, camera.Lines...)
	s.mu.Lock()
	studio := s.studios[camera.ID]
	s.mu.Unlock()
	if studio == nil {
		return
	}
	figures, age := studio.now()
	camera.Viewers = figures
	if age >= 0 {
		ms := float64(age.Round(100*time.Microsecond)) / float64(time.Millisecond)
		camera.PictureAge = &ms
	}
}

// cameraAnswer is one camera in the answers of /api/v1/cameras.
type cameraAnswer struct {
	CameraSettings
	State    string       `json:"state"`
	Error    string       `json:"error,omitempty"`
	Zones    []ZoneStatus `json:"zones"`
	Lines    []LineStatus `json:"lines"`
	Stream   string       `json:"stream"`
	Live     string       `json:"live"`
	Snapshot string       `json:"snapshot"`
	Push     string       `json:"push,omitempty"` // of push: cameras
}

func (s *Server) cameras(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	problem.WriteJSON(w, r, problem.Answer{ContentType: jsonType, Status: http.StatusOK, Body: map[string]any{"cameras": s.cameraAnswers(s.visitorOf(r))}})
	return nil
}

func (s *Server) camera(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	for _, one := range s.cameraAnswers(s.visitorOf(r)) {
		if one.ID == id {
			w.Header().Set("Cache-Control", "no-store")
			problem.WriteJSON(w, r, problem.Answer{ContentType: jsonType, Status: http.StatusOK, Body: one})
			return nil
		}
	}
	return noSuchCamera(id)
}

func (s *Server) cameraAnswers(who auth.Identity) []cameraAnswer {
	states := map[string]CameraStatus{}
	for _, camera := range s.fullStatus(who).Cameras {
		states[camera.ID] = camera
	}
	answers := []cameraAnswer{}
	for _, settings := range s.view.Cameras() {
		if !who.MaySee(settings.ID) {
			continue
		}
		base := "/api/v1/cameras/" + url.PathEscape(settings.ID)
		state := states[settings.ID]
		if state.State == "" {
			state.State = CameraStarting
		}
		answer := cameraAnswer{CameraSettings: settings, State: state.State, Error: state.Error,
			Zones: append([]ZoneStatus{}, state.Zones...), Lines: append([]LineStatus{}, state.Lines...),
			Stream: base + "/stream.mjpeg", Live: base + "/live", Snapshot: base + "/snapshot.jpg"}
		if settings.Source == pushSource {
			answer.Push = base + "/push"
		}
		answers = append(answers, answer)
	}
	return answers
}
