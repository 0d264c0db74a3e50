// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"testing"
	"time"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/ring"
)

// stalled is a camera of 30 pictures a second whose only worker stalls with picture 11, as of when it was taken.
type stalled struct {
	hub     *Hub
	beganNs int64
}

const stalledNs = int64(time.Second / 30)

func (s stalled) atNs(seq uint64) int64 { return s.beganNs + int64(seq)*stalledNs }

func (s stalled) ends(seq uint64, fate dispatch.Fate) {
	a := outcome("door", seq, fate)
	a.capturedNs = s.atNs(seq)
	a.detections = []ring.Detection{{X1: 290, Y1: 210, X2: 350, Y2: 270, Score: 0.9}}
	s.hub.append(entry{arrival: a})
	s.hub.drain()
}

// newStalled has seen a face in the first ten pictures, and then nothing until picture 60, 1.6 s later.
func newStalled(d *diary) stalled {
	s := stalled{New(d), frame.MonotonicNs()}
	s.hub.CameraAdded("door", DefaultWatch())
	for seq := uint64(1); seq <= 10; seq++ {
		s.ends(seq, dispatch.Inferred)
	}
	for seq := uint64(12); seq <= 60; seq++ {
		s.ends(seq, dispatch.Superseded)
		s.hub.tick(s.atNs(seq))
	}
	return s
}

// A worker that stalls for longer than a face may stay unseen, but not for a lease, still answers.
func TestTheOnlyWorkerThatStallsEndsNoVisit(t *testing.T) {
	d := &diary{}
	s := newStalled(d)
	s.ends(11, dispatch.Inferred)
	s.hub.tick(frame.MonotonicNs())
	s.ends(61, dispatch.Inferred)
	s.hub.tick(s.atNs(62))
	d.expect(t, "door 0 false", "appeared 1", "door 1 true", "door looks")
	if last := d.tracks[len(d.tracks)-1]; last != 1 {
		t.Errorf("after the stall it is track %d", last)
	}
	s.hub.tick(s.atNs(61) + int64(1100*time.Millisecond))
	d.expect(t, "door looks no more", "gone 1", "door 0 true")
}

// Nobody knows how long it would have gone on.
func TestAWorkerThatHoldsAFrameForALeaseEndsEachVisit(t *testing.T) {
	d := &diary{}
	s := newStalled(d)
	s.ends(11, dispatch.Abandoned)
	s.hub.tick(s.atNs(71))
	d.expect(t, "door 0 false", "appeared 1", "door 1 true", "door looks", "door looks no more", "gone 1", "door 0 true")
}

// Where a lease is long, a worker that hangs is not waited for until it ends.
func TestAWorkerThatHangsEndsEachVisitLongBeforeALongLease(t *testing.T) {
	d := &diary{}
	s := newStalled(d)
	s.hub.tick(s.atNs(10) + int64(2900*time.Millisecond))
	d.expect(t, "door 0 false", "appeared 1", "door 1 true", "door looks")
	s.hub.tick(s.atNs(10) + int64(3100*time.Millisecond))
	d.expect(t, "door looks no more", "gone 1", "door 0 true")
}

// A picture waits for a worker that there is not, and the camera gives broken ones meanwhile.
func TestPicturesThatFailedStopNoClock(t *testing.T) {
	for _, fate := range []dispatch.Fate{dispatch.Aborted, dispatch.NoSlot, dispatch.Abandoned} {
		d := &diary{}
		h := New(d)
		stay(h, 1, 3)
		h.append(entry{arrival: outcome("door", 5, fate)})
		h.drain()
		h.tick(frame.MonotonicNs() + int64(1100*time.Millisecond))
		d.expect(t, "appeared 1", "door 1 true", "door looks", "door looks no more", "gone 1", "door 0 true")
	}
}
