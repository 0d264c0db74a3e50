// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/showing"
)

// studio keeps the newest picture of one camera and encodes it, once for each look that somebody watches.
type studio struct {
	camera string
	server *Server
	id     uint64        // tells two studios of the same camera apart, in ETags
	wake   chan struct{} // holds one token when there may be something to encode
	done   chan struct{} // closed at the end

	mu      sync.Mutex
	latest  shot
	viewers map[*viewer]struct{}
	figures ViewerFigures
	closed  bool

	snapshots chan struct{} // holds one token while somebody who asks once is served
	encoding  sync.Mutex    // held during an encode: one at a time, so that a second asker finds the first one's
	stills    map[look]*still
	failing   bool // the last encode failed and was logged
}

// shot is one inferred frame. Whoever copies it retains its picture.
type shot struct {
	number uint64 // counts the studio's shots, 0 = none yet
	hub.Result
}

func (s shot) age() time.Duration { return time.Duration(frame.MonotonicNs() - s.CapturedNs) }

// still is one encoded picture, shared by all who look at it: nobody changes it.
type still struct {
	number     uint64
	capturedNs int64
	privacy    string
	part       []byte // as it goes into a stream
	jpeg       []byte // the picture inside part
	detections []byte // JSON of the same frame; nil where nobody has looked
}

// newStudio starts the encoder of one camera. Called with the server's mutex held.
func (s *Server) newStudio(camera string) *studio {
	s.studioCount++
	made := &studio{
		camera: camera, server: s, id: s.studioCount, wake: make(chan struct{}, 1), done: make(chan struct{}),
		viewers: map[*viewer]struct{}{}, stills: map[look]*still{}, snapshots: make(chan struct{}, 1),
	}
	s.working.Add(1)
	go func() {
		defer s.working.Done()
		made.run()
	}()
	return made
}

// take makes r the newest shot and wakes the encoder if anybody watches.
func (s *studio) take(r *hub.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || r.CapturedNs < s.latest.CapturedNs { // what was inferred meanwhile is older than a picture that was only shown
		return
	}
	old := s.latest.Picture
	r.Picture.Retain()
	s.latest = shot{number: s.latest.number + 1, Result: *r}
	if old != nil {
		old.Release()
	}
	if len(s.viewers) > 0 {
		s.rouse()
	}
}

func (s *studio) rouse() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake already and will see the newest shot
	}
}

// run encodes whenever a viewer wants the newest shot, until the studio is closed.
func (s *studio) run() {
	for {
		select {
		case <-s.done:
			return
		case <-s.wake:
		}
		for _, wanted := range s.wanted() {
			picture, err := s.develop(wanted)
			if s.isClosed() {
				return // that there is nothing to show any more is no failure
			}
			if s.report(err); err == nil {
				s.hand(wanted, picture)
			}
		}
	}
}

func (s *studio) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// wanted lists the looks in which at least one viewer wants the newest shot.
func (s *studio) wanted() []look {
	s.mu.Lock()
	defer s.mu.Unlock()
	var looks []look
	for v := range s.viewers {
		if v.wants(s.latest.number, s.latest.CapturedNs) && !slices.Contains(looks, v.look) {
			looks = append(looks, v.look)
		}
	}
	return looks
}

// hand offers a picture to every viewer that wants it.
func (s *studio) hand(shown look, picture *still) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for v := range s.viewers {
		if v.look == shown && v.wants(picture.number, picture.capturedNs) {
			s.figures.Dropped += v.offer(picture)
		}
	}
}

// report logs the first of a row of failures: at 30 frames a second one line is enough.
func (s *studio) report(err error) {
	if err != nil && !s.failing {
		slog.Error("no live picture", "camera", s.camera, "error", err)
	}
	s.failing = err != nil
}

// develop returns the newest shot as seen in one look; it encodes unless that was done before.
func (s *studio) develop(wanted look) (*still, error) {
	s.encoding.Lock()
	defer s.encoding.Unlock()
	newest, err := s.borrow()
	if err != nil {
		return nil, err
	}
	defer newest.Picture.Release()
	privacy, _ := s.server.view.Privacy(s.camera)
	if done := s.stills[wanted]; done != nil && done.number == newest.number && done.privacy == privacy {
		return done, nil
	}
	jpeg, err := s.server.settings.Encode(&newest.Result, showing.Style{Privacy: privacy, Boxes: wanted.boxes, Width: wanted.width})
	if err != nil {
		return nil, fmt.Errorf("encode frame of %s: %w", s.camera, err)
	}
	var detections []byte
	if !newest.Unlooked {
		if detections, err = s.server.settings.Detections(&newest.Result); err != nil {
			return nil, fmt.Errorf("write the detections of %s: %w", s.camera, err)
		}
	}
	made := &still{number: newest.number, capturedNs: newest.CapturedNs, privacy: privacy, detections: detections}
	made.part, made.jpeg = multipart(jpeg)
	if len(s.stills) >= mostStills() {
		clear(s.stills)
	}
	s.stills[wanted] = made
	return made, nil
}

// developOnce is develop for one who does not watch. Of these only one at a time stands in the way of live pictures, however many ask.
func (s *studio) developOnce(ctx context.Context, wanted look) (*still, error) {
	select {
	case s.snapshots <- struct{}{}:
		defer func() { <-s.snapshots }()
		return s.develop(wanted)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// borrow returns the newest shot with its picture retained.
func (s *studio) borrow() (shot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.latest.Picture == nil {
		return shot{}, refusal{Status: http.StatusServiceUnavailable, Title: "There is no picture yet",
			Detail: fmt.Sprintf("Camera %q has given no inferred frame; see /api/v1/status.", s.camera), RetryAfter: 1}
	}
	s.latest.Picture.Retain()
	return s.latest, nil
}

// join adds a viewer. It gets the newest picture at once if that is fresh, else the next one.
func (s *studio) join(v *viewer) error {
	old := oldFromS(s.server.view.Cameras(), s.camera) // asked without the mutex: the answer comes from others
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return noSuchCamera(s.camera)
	}
	if s.tooManyLooks(v.look) {
		return refusal{Status: http.StatusServiceUnavailable, Title: "Too many different sizes",
			Detail: fmt.Sprintf("%d sizes and styles of this camera are being watched; ask for one of those.", mostLooks), RetryAfter: 5}
	}
	s.viewers[v] = struct{}{}
	v.seen = s.latest.number
	if s.latest.number > 0 && s.latest.age().Seconds() < old {
		v.seen--
		s.rouse()
	}
	return nil
}

func (s *studio) tooManyLooks(another look) bool {
	looks := map[look]bool{another: true}
	for v := range s.viewers {
		if !v.look.isOfPage() {
			looks[v.look] = true
		}
	}
	return !another.isOfPage() && len(looks) > mostLooks
}

func (s *studio) leave(v *viewer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.viewers, v)
}

// collect takes the newest picture that was offered to v; nil if there is none, or if faces that it shows are to be hidden since.
func (s *studio) collect(v *viewer) *still {
	privacy, _ := s.server.view.Privacy(s.camera)
	s.mu.Lock()
	defer s.mu.Unlock()
	picture := v.next
	v.next = nil
	if picture != nil && showing.ShowsTooMuch(picture.privacy, privacy) {
		return nil
	}
	return picture
}

func (s *studio) countSent() {
	s.mu.Lock()
	s.figures.Sent++
	s.mu.Unlock()
}

// now returns the viewers' figures and the newest picture's age; the age is negative when there is no picture.
func (s *studio) now() (ViewerFigures, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	figures := s.figures
	figures.Now = len(s.viewers)
	if s.latest.number == 0 {
		return figures, -1
	}
	return figures, s.latest.age()
}

// close ends all streams and gives the picture back; calling it again does nothing.
func (s *studio) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	close(s.done)
	if s.latest.Picture != nil {
		s.latest.Picture.Release()
		s.latest.Picture = nil
	}
}
