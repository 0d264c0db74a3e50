// SPDX-License-Identifier: Apache-2.0

package track

import (
	"math"
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
	tracker *Tracker
	nowNs   int64
	stepNs  int64
}

func newScene(stepNs int64) *scene {
	return &scene{tracker: New(Defaults()), nowNs: 1e12, stepNs: stepNs}
}

func (s *scene) frame(boxes ...Box) []uint64 {
	s.nowNs += s.stepNs
	return s.tracker.Update(boxes, s.nowNs)
}

// silence passes in ticks of a tenth of a second, without a frame.
func (s *scene) silence(d time.Duration) {
	for end := s.nowNs + d.Nanoseconds(); s.nowNs < end; {
		s.nowNs += (100 * time.Millisecond).Nanoseconds()
		s.tracker.Advance(s.nowNs)
	}
}

func (s *scene) expect(t *testing.T, faces int) {
	t.Helper()
	if got := s.tracker.Confirmed(); got != faces {
		t.Fatalf("%d faces, want %d", got, faces)
	}
}

func TestAFaceIsBelievedAtItsThirdFrame(t *testing.T) {
	s := newScene(frameNs)
	s.frame(left)
	s.frame(left)
	s.expect(t, 0)
	if ids := s.frame(left); ids[0] != 1 {
		t.Fatalf("track %d at the third frame, want 1", ids[0])
	}
	s.expect(t, 1)
}

func TestThreeOfFiveFramesAreEnoughAndTwoOfFiveAreNot(t *testing.T) {
	s := newScene(frameNs)
	for _, boxes := range [][]Box{{left}, {}, {left}, {}, {left}} {
		s.frame(boxes...)
	}
	s.expect(t, 1)

	s = newScene(frameNs)
	for range 4 {
		for _, boxes := range [][]Box{{left}, {}, {}} {
			s.frame(boxes...)
		}
	}
	s.expect(t, 0)
}

func TestAFlickeringFalseAlarmIsNeverBelieved(t *testing.T) {
	s := newScene(frameNs)
	for i := range 300 {
		s.frame(Box{X: float32(i%7) * 100, Y: float32(i%5) * 90, W: 40, H: 40})
		s.expect(t, 0)
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
		s.expect(t, 2)
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

func TestALostFaceEndsAfterATimeWhateverTheRate(t *testing.T) {
	for _, stepNs := range []int64{frameNs, frameNs / 2, 4 * frameNs} {
		s := newScene(stepNs)
		for range 5 {
			s.frame(left)
		}
		seenNs := s.nowNs
		for s.nowNs+s.stepNs <= seenNs+Defaults().LostAfter.Nanoseconds() {
			s.frame()
			s.expect(t, 1)
		}
		s.frame()
		s.expect(t, 0)
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
	s.expect(t, 1)
}

func TestSilenceEndsAFaceWithoutAFrame(t *testing.T) {
	s := newScene(frameNs)
	for range 3 {
		s.frame(left)
	}
	s.silence(Defaults().LostAfter - 100*time.Millisecond)
	s.expect(t, 1)
	s.silence(200 * time.Millisecond)
	s.expect(t, 0)
}

func TestANightWithoutFramesKeepsNoFaceAfterIt(t *testing.T) {
	s := newScene(frameNs)
	for range 5 {
		s.frame()
	}
	s.silence(8 * time.Hour)
	for range 3 {
		s.frame(left)
	}
	s.expect(t, 1)
	s.silence(Defaults().LostAfter + 200*time.Millisecond)
	s.expect(t, 0)
}

func TestHowRareFramesAreIsKnownOrLearnedAtTheFirstGap(t *testing.T) {
	for _, c := range []struct{ expected, between time.Duration }{
		{10 * time.Second, 10 * time.Second}, {0, 2 * time.Second}, {200 * time.Millisecond, 2 * time.Second}, {0, 33 * time.Millisecond},
	} {
		s := Defaults()
		s.Interval = c.expected
		tracker, nowNs, overdue := New(s), int64(time.Hour), 0
		for range 20 {
			tracker.Update(nil, nowNs)
			nowNs += c.between.Nanoseconds()
			if tracker.Overdue(nowNs - 1) {
				overdue++
			}
		}
		if first := c.between > max(s.LostAfter, 3*c.expected); overdue > 1 || (overdue == 1) != first {
			t.Errorf("a frame each %v where each %v is expected: overdue %d times", c.between, c.expected, overdue)
		}
		if !tracker.Overdue(nowNs + time.Minute.Nanoseconds()) {
			t.Error("a minute without a frame is nothing")
		}
	}
}

func TestASlowInferenceStillConfirmsAFace(t *testing.T) {
	s := newScene((1500 * time.Millisecond).Nanoseconds())
	for range 8 {
		s.frame(left)
	}
	s.expect(t, 1)
}

func TestAnUnsureBoxContinuesAFaceButBeginsNone(t *testing.T) {
	unsure := left
	unsure.Score = 0.3
	s := newScene(frameNs)
	for range 10 {
		s.frame(unsure)
	}
	s.expect(t, 0)
	for range 3 {
		s.frame(left)
	}
	for range 60 {
		if ids := s.frame(unsure); ids[0] != 1 {
			t.Fatalf("track %d, want an unsure box to continue track 1", ids[0])
		}
	}
}

func TestAFastFaceIsFollowedAtFiveFramesASecond(t *testing.T) {
	s := newScene(int64(time.Second / 5))
	for n := range 10 {
		fast := left
		fast.X += 90 * float32(n) // more than its width a frame: no box overlaps the one before
		if ids := s.frame(fast); n >= 2 && ids[0] != 1 {
			t.Fatalf("track %d at frame %d", ids[0], n)
		}
	}
}

func TestTwoFacesThatPassEachOtherKeepTheirNumbers(t *testing.T) {
	s := newScene(frameNs)
	var first [2]uint64
	for n := range 60 {
		one, two := left, left
		one.X, two.X, two.Y = 100+10*float32(n), 700-10*float32(n), left.Y+25
		ids := s.frame(one, two)
		switch now := [2]uint64{ids[0], ids[1]}; {
		case n == 2:
			first = now
		case n > 2 && now != first:
			t.Fatalf("tracks %v at frame %d, %v at first", now, n, first)
		}
	}
}

func TestATrackKeepsItsBestBoxAndItsTimes(t *testing.T) {
	s := newScene(frameNs)
	begun := s.nowNs + frameNs
	for _, score := range []float32{0.6, 0.9, 0.7} {
		box := left
		box.Score = score
		s.frame(box)
	}
	got := s.tracker.Tracks()
	if len(got) != 1 || got[0].Best.Score != 0.9 || got[0].FirstNs != begun || got[0].SeenNs != s.nowNs || got[0].Box.Score != 0.7 {
		t.Errorf("%+v", got)
	}
}

func TestOfATrackThatBeginsItIsKnownWhereItWasBefore(t *testing.T) {
	s := newScene(frameNs)
	first := s.nowNs + frameNs
	settings := Defaults()
	settings.Hits = 6
	s.tracker = New(settings)
	s.tracker.Fit(1280, 720)
	for range 50 { // seen in every second frame
		s.frame(left)
		s.frame()
	}
	s.expect(t, 0)
	s.frame(left)
	s.tracker.Fit(640, 360)
	half := Box{left.X / 2, left.Y / 2, left.W / 2, left.H / 2, left.Score}
	for range 3 {
		s.frame(half)
	}
	before := s.tracker.Tracks()[0].Before
	if len(before) != settings.Hits+spareFrames || s.tracker.Tracks()[0].FirstNs != first || before[len(before)-1].SeenNs != s.nowNs-frameNs {
		t.Errorf("at %d it was before at %+v", s.nowNs, before)
	}
	for _, sight := range before {
		if sight.Box != half {
			t.Errorf("%+v in pictures of half the size", sight)
		}
	}
	s.frame(half)
	if now := s.tracker.Tracks()[0].Before; now != nil {
		t.Errorf("%+v is kept", now)
	}
}

func TestOfTooManyBoxesTheSurestAreFollowed(t *testing.T) {
	s := newScene(frameNs)
	boxes := make([]Box, 1024)
	for i := range boxes {
		boxes[i] = Box{X: float32(i%32) * 60, Y: float32(i/32) * 60, W: 40, H: 40, Score: 0.5 + float32(i%512)/1100}
	}
	for range 3 {
		s.frame(boxes...)
	}
	s.expect(t, boxesMost)
	for i, id := range s.frame(boxes...) {
		if (id != 0) != (i%512 >= 512-boxesMost/2) {
			t.Fatalf("box %d with score %v has number %d", i, boxes[i].Score, id)
		}
	}
}

// A client of a push: camera may send each picture in another size, and some USB cameras change theirs.
func TestAFaceGoesOnWhereItIsInPicturesOfAnotherSize(t *testing.T) {
	half := Box{left.X / 2, left.Y / 2, left.W / 2, left.H / 2, left.Score}
	for _, stepNs := range []int64{frameNs, int64(200 * time.Millisecond)} {
		s := newScene(stepNs)
		for n := range 30 {
			size, box := [2]int{1280, 721}, left
			if n%2 == 1 {
				size, box = [2]int{640, 360}, half
			}
			s.tracker.Fit(size[0], size[1])
			if ids := s.frame(box); n >= 2 && ids[0] != 1 {
				t.Fatalf("frame %d: it is number %d", n, ids[0])
			}
		}
		s.expect(t, 1)
		if best := s.tracker.Tracks()[0].Best; math.Abs(float64(best.W-half.W)) > 1 {
			t.Errorf("its best box is %v in pictures of half the size", best)
		}
	}
}

// As where a client cuts its pictures anew each time.
func TestPicturesOfChangingShapeStillConfirmAFace(t *testing.T) {
	s := newScene(frameNs)
	for n := range 10 {
		s.tracker.Fit(640, 480+20*(n%2))
		s.frame(left)
	}
	s.expect(t, 1)
}

func TestOfAPictureThatWasTurnedNobodyKnowsWhereAFaceWas(t *testing.T) {
	s := newScene(frameNs)
	s.tracker.Fit(1280, 720)
	for range 3 {
		s.frame(left)
	}
	s.expect(t, 1)
	s.tracker.Fit(720, 1280)
	s.expect(t, 0)
}
