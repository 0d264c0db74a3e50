// SPDX-License-Identifier: Apache-2.0

package track

import (
	"math/rand/v2"
	"testing"
	"time"
)

const frameNs = int64(time.Second / 30)

var (
	left  = Box{X: 100, Y: 100, W: 80, H: 100, Score: 0.9}
	right = Box{X: 400, Y: 120, W: 80, H: 100, Score: 0.9}
)

// scene plays frames at a fixed rate to one tracker.
type scene struct {
	tracker   *Tracker
	occupancy *Occupancy
	nowNs     int64
	stepNs    int64
	occupied  bool
}

func newScene(stepNs int64) *scene {
	return &scene{tracker: New(Defaults()), occupancy: NewOccupancy(OffDelay), nowNs: 1e12, stepNs: stepNs}
}

func (s *scene) frame(boxes ...Box) []uint64 {
	s.nowNs += s.stepNs
	ids := s.tracker.Update(boxes, s.nowNs)
	s.occupied = s.occupancy.Update(s.tracker.Confirmed(), s.nowNs)
	return ids
}

// silence passes in ticks of a tenth of a second, without a frame.
func (s *scene) silence(d time.Duration) {
	for end := s.nowNs + d.Nanoseconds(); s.nowNs < end; {
		s.nowNs += (100 * time.Millisecond).Nanoseconds()
		s.tracker.Advance(s.nowNs)
		s.occupied = s.occupancy.Update(s.tracker.Confirmed(), s.nowNs)
	}
}

func (s *scene) expect(t *testing.T, faces int, occupied bool) {
	t.Helper()
	if got := s.tracker.Confirmed(); got != faces || s.occupied != occupied {
		t.Fatalf("faces %d occupied %v, want %d and %v", got, s.occupied, faces, occupied)
	}
}

func TestAFaceIsBelievedAtItsThirdFrame(t *testing.T) {
	s := newScene(frameNs)
	s.frame(left)
	s.frame(left)
	s.expect(t, 0, false)
	if ids := s.frame(left); ids[0] != 1 {
		t.Fatalf("track %d at the third frame, want 1", ids[0])
	}
	s.expect(t, 1, true)
}

func TestThreeOfFiveFramesAreEnoughAndTwoOfFiveAreNot(t *testing.T) {
	s := newScene(frameNs)
	for _, boxes := range [][]Box{{left}, {}, {left}, {}, {left}} {
		s.frame(boxes...)
	}
	s.expect(t, 1, true)

	s = newScene(frameNs)
	for range 4 {
		for _, boxes := range [][]Box{{left}, {}, {}} {
			s.frame(boxes...)
		}
	}
	s.expect(t, 0, false)
}

func TestAFlickeringFalseAlarmIsNeverBelieved(t *testing.T) {
	s := newScene(frameNs)
	for i := range 300 {
		s.frame(Box{X: float32(i%7) * 100, Y: float32(i%5) * 90, W: 40, H: 40})
		s.expect(t, 0, false)
	}
}

func TestMissedDetectionsAndJitterKeepTheTrack(t *testing.T) {
	s := newScene(frameNs)
	random := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		s.frame(left, right)
	}
	for range 600 {
		var boxes []Box
		for _, b := range []Box{right, left} {
			if random.IntN(4) > 0 {
				b.X += random.Float32()*12 - 6
				b.Y += random.Float32()*12 - 6
				boxes = append(boxes, b)
			}
		}
		for i, id := range s.frame(boxes...) {
			if want := uint64(1); boxes[i].X > 300 && id != want+1 || boxes[i].X < 300 && id != want {
				t.Fatalf("box at %.0f has track %d", boxes[i].X, id)
			}
		}
		s.expect(t, 2, true)
	}
}

func TestOfTwoBoxesTheBetterOverlapGetsTheTrack(t *testing.T) {
	s := newScene(frameNs)
	for range 3 {
		s.frame(left)
	}
	shifted := left
	shifted.X += 30
	if ids := s.frame(shifted, left); ids[0] != 0 || ids[1] != 1 {
		t.Fatalf("tracks %v, want the unmoved box to keep track 1", ids)
	}
}

func TestALostFaceEndsAfterATimeAndThePlaceEmptiesAfterTheDelay(t *testing.T) {
	for _, stepNs := range []int64{frameNs, frameNs / 2, 4 * frameNs} {
		s := newScene(stepNs)
		for range 5 {
			s.frame(left)
		}
		seenNs := s.nowNs
		for s.nowNs+s.stepNs <= seenNs+Defaults().LostAfter.Nanoseconds() {
			s.frame()
			s.expect(t, 1, true)
		}
		s.frame()
		s.expect(t, 0, true)
		offNs := s.occupancy.lastNs + OffDelay.Nanoseconds()
		for s.nowNs+s.stepNs < offNs {
			s.frame()
			s.expect(t, 0, true)
		}
		s.frame()
		s.expect(t, 0, false)
	}
}

func TestAReturningFaceGetsAHigherNumber(t *testing.T) {
	s := newScene(frameNs)
	for range 3 {
		s.frame(left)
	}
	s.silence(2 * time.Second)
	s.frame(left)
	s.frame(left)
	if ids := s.frame(left); ids[0] != 2 {
		t.Fatalf("track %d after the face was lost, want 2", ids[0])
	}
	s.expect(t, 1, true)
}

func TestSilenceEmptiesThePlaceWithoutAFrame(t *testing.T) {
	s := newScene(frameNs)
	for range 3 {
		s.frame(left)
	}
	s.silence(Defaults().LostAfter + 100*time.Millisecond)
	s.expect(t, 0, true)
	s.silence(OffDelay + 100*time.Millisecond)
	s.expect(t, 0, false)
}

func TestAPassingGapDoesNotSwitchThePlaceOff(t *testing.T) {
	s := newScene(frameNs)
	for range 3 {
		s.frame(left)
	}
	for range 10 {
		s.silence(2500 * time.Millisecond)
		if !s.occupied {
			t.Fatal("occupied fell within the off delay")
		}
		for range 3 {
			s.frame(left)
		}
	}
}

func TestASlowInferenceStillConfirmsAFace(t *testing.T) {
	s := newScene((1500 * time.Millisecond).Nanoseconds())
	for range 8 {
		s.frame(left)
	}
	s.expect(t, 1, true)
}
