// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/event"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/ring"
)

const stallLease = 2 * time.Second

// shift is one worker that looks at each of some cameras in its turn, on a clock of its own that steps by 10 ms. Each camera gives
// a picture every 30 ms, of which the newest waits.
type shift struct {
	followers []*follower
	waits     []time.Duration // the picture of each camera that does, as of when it was taken; 0 is none
	served    []int           // turn of each camera's last picture
	takes     func(turn int, at time.Duration) time.Duration
	there     func(camera int, at time.Duration) bool
	awaits    bool // whether it is told what is awaited

	now, taken, busy time.Duration // taken: when the picture was that the worker has until busy, 0 if it has none
	has, turns       int
	lines            []string
}

// newShift has one person before each of the cameras, for ever, and a worker that takes 20 ms.
func newShift(cameras int) *shift {
	s := &shift{
		waits: make([]time.Duration, cameras), served: make([]int, cameras), awaits: true, now: time.Hour,
		takes: func(int, time.Duration) time.Duration { return 20 * time.Millisecond },
		there: func(int, time.Duration) bool { return true },
	}
	for i := range cameras {
		f := &follower{recorder: event.NewRecorder(fmt.Sprint(i), event.NewIDs(), realClock)}
		f.begin(DefaultWatch())
		s.followers = append(s.followers, f)
	}
	return s
}

// stalls lets the worker hold the picture for so long that it gets first after a time.
func (s *shift) stalls(after, forHow time.Duration) {
	usual, stalled := s.takes, false
	s.takes = func(turn int, at time.Duration) time.Duration {
		if at < after || stalled {
			return usual(turn, at)
		}
		stalled = true
		return forHow
	}
}

// at is since it began.
func (s *shift) at() time.Duration { return s.now - time.Hour }

func (s *shift) runs(end time.Duration) {
	for ; s.at() < end; s.now += 10 * time.Millisecond {
		if s.at()%(30*time.Millisecond) == 0 {
			s.capture()
		}
		if s.taken != 0 && s.now >= s.busy {
			s.answer()
		}
		if s.taken == 0 {
			s.lend()
		}
		if s.at()%tickInterval == 0 {
			s.tick()
		}
	}
}

func (s *shift) capture() {
	for i := range s.waits {
		s.waits[i] = s.now
	}
}

func (s *shift) lend() {
	next := -1
	for i, taken := range s.waits {
		if taken != 0 && (next < 0 || s.served[i] < s.served[next]) {
			next = i
		}
	}
	if next < 0 {
		return
	}
	s.turns++
	s.served[next] = s.turns
	s.has, s.taken, s.waits[next] = next, s.waits[next], 0
	s.busy = s.now + s.takes(s.turns, s.at())
}

func (s *shift) answer() {
	var faces []Face
	if s.there(s.has, s.taken-time.Hour) {
		faces = append(faces, Face{Score: 0.9})
		faces[0].Box.W, faces[0].Box.H = 50, 50
	}
	s.followers[s.has].frame(faces, 640, 480, int64(s.taken), int64(s.now))
	s.taken = 0
	s.note(s.has)
}

func (s *shift) tick() {
	for i, f := range s.followers {
		awaited := time.Duration(0)
		if s.awaits && (s.waits[i] != 0 || s.taken != 0 && s.has == i) {
			awaited = stallLease
		}
		f.silence(int64(s.now), awaited)
		s.note(i)
	}
}

// note writes down what happened at a camera, and when.
func (s *shift) note(camera int) {
	for _, e := range s.followers[camera].takeEvents() {
		s.lines = append(s.lines, fmt.Sprintf("%v: %d %s %d", s.at(), camera, e.Type, e.Track))
	}
}

// told is what happened after a time.
func (s *shift) told(from time.Duration) (lines []string) {
	for _, line := range s.lines {
		if at, err := time.ParseDuration(line[:strings.Index(line, ":")]); err != nil || at > from {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestTheOnlyWorkerThatStallsEndsNobodysVisit(t *testing.T) {
	for _, cameras := range []int{1, 3} {
		for _, stall := range []time.Duration{900 * time.Millisecond, 1500 * time.Millisecond, 1990 * time.Millisecond} {
			s := newShift(cameras)
			s.stalls(3*time.Second, stall)
			s.stalls(6*time.Second, stall)
			s.runs(12 * time.Second)
			if got := s.told(time.Second); len(got) > 0 || len(s.lines) != cameras {
				t.Errorf("%d cameras, %v: %q", cameras, stall, s.lines)
			}
		}
	}
}

// Who left while nobody looked is gone with the first picture that is looked at; who left before, as ever.
func TestWhoLeavesBeforeOrInAStallIsGone(t *testing.T) {
	for left, want := range map[time.Duration]string{
		2500 * time.Millisecond: "3.6s: 0 gone 1",
		3500 * time.Millisecond: "4.52s: 0 gone 1",
	} {
		s := newShift(1)
		s.there = func(_ int, at time.Duration) bool { return at < left }
		s.stalls(3*time.Second, 1500*time.Millisecond)
		s.runs(8 * time.Second)
		if got := s.told(time.Second); fmt.Sprint(got) != "["+want+"]" {
			t.Errorf("left after %v: %q", left, s.lines)
		}
	}
}

// A worker that hangs may be gone and come again, and get another picture before anybody has noticed: whoever is there is told of for
// lost_ms and a lease, no longer.
func TestAWorkerThatHangsEndsEachVisitAfterALease(t *testing.T) {
	s := newShift(2)
	s.stalls(3*time.Second, time.Minute)
	s.runs(5900 * time.Millisecond)
	if got := s.told(time.Second); len(got) > 0 || !s.followers[0].looks() {
		t.Errorf("before its time: %q", s.lines)
	}
	s.runs(6200 * time.Millisecond)
	if got := s.told(time.Second); len(got) != 2 || s.followers[0].looks() || s.followers[1].looks() {
		t.Errorf("after its time: %q", s.lines)
	}
}

// There is always a picture with a worker that is slow as a rule.
func TestWhereAWorkerIsSlowAsARuleNothingComesLater(t *testing.T) {
	for _, c := range []struct {
		cameras int
		takes   time.Duration
	}{{1, 400 * time.Millisecond}, {1, 900 * time.Millisecond}, {3, 300 * time.Millisecond}, {2, 1500 * time.Millisecond}} {
		var told [2][]string
		for i, awaits := range []bool{false, true} {
			s := newShift(c.cameras)
			s.awaits = awaits
			s.takes = func(turn int, _ time.Duration) time.Duration { return c.takes + c.takes/10*time.Duration(turn%3) }
			s.there = func(camera int, at time.Duration) bool {
				return at%(40*time.Second) < time.Duration(20+camera)*time.Second
			}
			s.runs(2 * time.Minute)
			told[i] = s.told(10 * time.Second) // it has learned then how rare pictures are
		}
		if !slices.Equal(told[0], told[1]) || len(told[0]) < 4*c.cameras {
			t.Errorf("%+v: %q, but %q without waiting", c, told[1], told[0])
		}
	}
}

// The worker answers between the question what is awaited and the next look at the clock.
func TestWhatHasEndedMeanwhileIsHeardBeforeTimePasses(t *testing.T) {
	d := &diary{}
	h := New(d)
	stay(h, 1, 3)
	h.drain()
	laterNs := frame.MonotonicNs() + int64(1500*time.Millisecond)
	h.AwaitedFrom(func() map[string]time.Duration { return map[string]time.Duration{"door": stallLease} })
	h.tick(laterNs)
	h.AwaitedFrom(func() map[string]time.Duration {
		a := outcome("door", 4, dispatch.Inferred)
		a.capturedNs = laterNs
		a.detections = []ring.Detection{{X1: 290, Y1: 210, X2: 350, Y2: 270, Score: 0.9}}
		h.append(entry{arrival: a})
		return nil
	})
	h.tick(laterNs)
	d.expect(t, "appeared 1", "door 1 true", "door looks")
	if fmt.Sprint(d.tracks) != "[0 0 1 1]" {
		t.Errorf("the faces have the tracks %v", d.tracks)
	}
}

// One of two workers stalls with one camera's frame: the other camera's frames go on, and whoever leaves there is gone in time.
func TestAWorkerThatStallsBesideAnotherKeepsNobodyElsewhere(t *testing.T) {
	d := &diary{}
	h := New(d)
	h.AwaitedFrom(func() map[string]time.Duration {
		return map[string]time.Duration{"door": stallLease, "hall": stallLease}
	})
	beganNs := frame.MonotonicNs()
	for n := range uint64(40) {
		for _, camera := range []string{"door", "hall"} {
			a := outcome(camera, n+1, dispatch.Inferred)
			a.capturedNs = beganNs + int64(n)*int64(50*time.Millisecond)
			if camera == "door" || n < 10 {
				a.detections = []ring.Detection{{X1: 290, Y1: 210, X2: 350, Y2: 270, Score: 0.9}}
			}
			if camera == "hall" || n != 10 {
				h.append(entry{arrival: a})
			}
		}
		h.tick(beganNs + int64(n)*int64(50*time.Millisecond))
	}
	d.expect(t, "appeared 1", "door 1 true", "door looks", "appeared 1", "hall 1 true", "hall looks", "gone 1", "hall 0 true")
}
