// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/quota"
)

const (
	// oldFrom is the age in seconds from which a picture is no longer "now", at least.
	oldFrom = 2.0
	// mostOld bounds what the smallest rate that can be written makes of it: a year.
	mostOld = 365 * 24 * 3600.0
)

// oldFromS is that age for a camera of few pictures: one of them may be missing.
func (c CameraSettings) oldFromS() float64 {
	old := oldFrom
	for _, rate := range []float64{c.FPS, c.DetectFPS} {
		if rate > 0 { // 0 of detect_fps is no limit
			old = max(old, 2/rate)
		}
	}
	return min(old, mostOld)
}

// oldFromS is that of one of these cameras; the least for one that is not among them, as in the moment in which it is removed.
func oldFromS(cameras []CameraSettings, id string) float64 {
	for _, c := range cameras {
		if c.ID == id {
			return c.oldFromS()
		}
	}
	return oldFrom
}

// viewersMost is how many streams may be open at once.
const viewersMost = 600

// mostLooks is how many sizes and styles of one camera are encoded at once beside those of the page, which nobody can shut out.
const mostLooks = 8

// pageWidths are those for which the page asks (static/live.js), and the picture's own.
var pageWidths = []int{0, 160, 320, 480, 640, 960, 1280, 1920}

func (l look) isOfPage() bool { return !l.boxes && slices.Contains(pageWidths, l.width) }

func mostStills() int { return mostLooks + len(pageWidths) }

// Take keeps r's picture as the newest of its camera. It is called by the hub and never waits for a viewer or an encode.
func (s *Server) Take(r *hub.Result) {
	s.metrics.observe(r)
	if r.Picture != nil {
		s.Show(r)
	}
}

// Show keeps a picture as the newest of its camera without counting it: one in which nobody has looked for faces.
func (s *Server) Show(r *hub.Result) {
	if studio := s.studioOf(r.Camera); studio != nil {
		studio.take(r)
	}
}

// CameraRemoved ends the streams of a camera that is no longer configured, and gives its picture back.
func (s *Server) CameraRemoved(id string) {
	s.mu.Lock()
	studio := s.studios[id]
	delete(s.studios, id)
	s.removals++
	s.mu.Unlock()
	if studio != nil {
		studio.close()
	}
}

// studioOf returns the studio of a configured camera and makes it at the first call; nil if there is no such camera or
// the server has ended.
func (s *Server) studioOf(id string) *studio {
	for {
		found, removals := s.studioNow(id)
		if found != nil {
			return found
		}
		if _, known := s.view.Privacy(id); !known { // asked without our mutex: the view has its own
			return nil
		}
		if made, done := s.makeStudio(id, removals); done {
			return made
		}
	}
}

// studioNow returns the studio that a camera has, nil if none, and how many cameras have been removed.
func (s *Server) studioNow(id string) (found *studio, removals uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.studios[id], s.removals
}

// makeStudio makes the studio of a camera that was known when so many had been removed. It is not done if another went since: that may be
// this one, and nobody would close its studio any more.
func (s *Server) makeStudio(id string, removals uint64) (made *studio, done bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.removals != removals {
		return nil, false
	}
	if s.studios[id] == nil && !s.closed {
		s.studios[id] = s.newStudio(id)
	}
	return s.studios[id], true
}

// studioFor is the same for who asks, with the refusal where there is none.
func (s *Server) studioFor(id string) (*studio, error) {
	if found := s.studioOf(id); found != nil {
		return found, nil
	}
	if _, known := s.view.Privacy(id); known {
		return nil, stops()
	}
	if slices.ContainsFunc(s.view.Cameras(), func(c CameraSettings) bool { return c.ID == id }) {
		return nil, refusal{Status: http.StatusServiceUnavailable, Title: "The camera does not run", RetryAfter: 1,
			Detail: fmt.Sprintf("Why camera %q has not started is told by /api/v1/status.", id)}
	}
	return nil, noSuchCamera(id)
}

// closeStudios ends every stream and every encoder, and gives all pictures back.
func (s *Server) closeStudios() {
	s.mu.Lock()
	s.closed = true
	open := s.studios
	s.studios = map[string]*studio{}
	s.mu.Unlock()
	for _, studio := range open {
		studio.close()
	}
	s.working.Wait()
}

// viewer is one open stream. Its fields beside ready are guarded by the studio's mutex.
type viewer struct {
	look       look
	intervalNs int64         // least time between frames, 0 = every frame
	dueNs      int64         // capture time from which the next frame is wanted
	seen       uint64        // number of the newest shot that was offered
	next       *still        // newest picture not yet collected
	ready      chan struct{} // holds one token when next is set
}

// wants tells whether a shot is new to the viewer and late enough for the frame rate it asked for.
func (v *viewer) wants(number uint64, capturedNs int64) bool {
	return number > v.seen && capturedNs >= v.dueNs
}

// offer hands the viewer a picture and returns how many frames it has missed by that.
func (v *viewer) offer(picture *still) (missed uint64) {
	if v.intervalNs == 0 {
		missed = picture.number - v.seen - 1 // the encoder was behind
	} else {
		// Half an interval of grace keeps the average rate although frames come at their own times.
		v.dueNs = max(v.dueNs+v.intervalNs, picture.capturedNs+v.intervalNs/2)
	}
	if v.next != nil {
		missed++ // the connection was behind
	}
	v.seen, v.next = picture.number, picture
	select {
	case v.ready <- struct{}{}:
	default: // the token of the picture that was just replaced is still there
	}
	return missed
}

// admit counts one more viewer, who may be one of viewersMost.
func (s *Server) admit(who auth.Identity) error {
	var enough quota.Enough
	detail := "All live streams of this device are in use; try again, or fetch snapshot.jpg."
	switch err := s.viewers.Take(who.Name); {
	case err == nil:
		return nil
	case errors.As(err, &enough):
		detail = fmt.Sprintf("Your login has %d live streams open, and the rest is for others; close one, or fetch snapshot.jpg.", enough.Has)
	}
	return refusal{Status: http.StatusServiceUnavailable, Title: "Too many viewers", Detail: detail, RetryAfter: 5}
}

// enter makes the end of the server wait for a WebSocket; false when it is too late for that.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.working.Add(1)
	}
	return !s.closed
}
