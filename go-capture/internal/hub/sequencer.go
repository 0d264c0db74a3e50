// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"slices"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/ring"
)

// arrival is the one outcome of one captured frame, in pixels of the network's input.
type arrival struct {
	camera                                                              string
	seq                                                                 uint64
	fate                                                                dispatch.Fate
	letterbox                                                           geometry.Letterbox
	picture                                                             *frame.Picture
	model                                                               string
	capturedNs, readyNs, dispatchNs, inferBeginNs, inferEndNs, resultNs int64
	detections                                                          []ring.Detection
}

func (a *arrival) release() {
	if a.picture != nil {
		a.picture.Release()
		a.picture = nil
	}
}

// picturesMost is how many pictures of frames that wait for an earlier one are kept. A worker that hangs makes the others' frames wait for
// a lease's time; a camera without memory would stand still as long.
const picturesMost = 4

// sequencer holds arrivals back until all earlier frames of the camera have ended too. The dispatcher's lease time bounds
// how long and how many. Only the newest of them have pictures: those are the ones that somebody will still look at.
type sequencer struct {
	next     uint64
	waiting  map[uint64]*arrival
	pictured []*arrival // of waiting, those with a picture, in the order in which they came
	dropped  Dropped
}

func newSequencer() *sequencer { return &sequencer{next: 1, waiting: map[uint64]*arrival{}} }

// push takes one arrival and calls ready for each inferred frame whose turn has come, with what was dropped before it.
// It releases the pictures of all others; ready owns the rest. An outcome whose number was already used is refused.
func (s *sequencer) push(a *arrival, ready func(*arrival, Dropped)) (taken bool) {
	if _, twice := s.waiting[a.seq]; twice || a.seq < s.next {
		a.release()
		return false
	}
	if a.fate != dispatch.Inferred {
		a.release()
	}
	s.waiting[a.seq] = a
	s.pictured = append(s.pictured, a)
	defer s.letGo()
	for {
		first, ok := s.waiting[s.next]
		if !ok {
			return true
		}
		delete(s.waiting, s.next)
		s.next++
		if first.fate == dispatch.Inferred {
			dropped := s.dropped
			s.dropped = Dropped{}
			ready(first, dropped)
			continue
		}
		s.dropped.count(first.fate)
	}
}

// holdsResults tells whether inferred frames wait for an earlier one.
func (s *sequencer) holdsResults() bool {
	for _, a := range s.waiting {
		if a.fate == dispatch.Inferred {
			return true
		}
	}
	return false
}

// letGo gives back the oldest pictures where too many wait.
func (s *sequencer) letGo() {
	s.pictured = slices.DeleteFunc(s.pictured, func(a *arrival) bool { return a.seq < s.next || a.picture == nil })
	for len(s.pictured) > picturesMost {
		s.pictured[0].release()
		s.pictured = s.pictured[1:]
	}
}

func (s *sequencer) close() {
	for _, a := range s.waiting {
		a.release()
	}
	clear(s.waiting)
}

func (d *Dropped) count(f dispatch.Fate) {
	switch f {
	case dispatch.Superseded:
		d.Superseded++
	case dispatch.NoSlot:
		d.NoSlot++
	case dispatch.Aborted:
		d.Aborted++
	default:
		d.Abandoned++
	}
}
