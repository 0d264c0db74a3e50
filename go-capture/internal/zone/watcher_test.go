// SPDX-License-Identifier: Apache-2.0

package zone

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"visavis/capture/internal/track"
)

const width, height, frameNs = 1000, 500, int64(time.Second / 10)

var gate = Line{Name: "gate", From: Point{0.5, 1}, To: Point{0.5, 0}} // from bottom to top: going to the right is in

// street plays faces to a watcher and keeps what happened.
type street struct {
	watcher *Watcher
	nowNs   int64
	faces   []track.Track
	said    []string
	moments []Moment
}

func newStreet(s Settings) *street { return &street{watcher: NewWatcher(s), nowNs: 100 * secondNs} }

// frame shows faces by number and place, 0..1; each is 40 pixels wide. A face left out was not seen but is still believed.
func (s *street) frame(places map[uint64]Point) {
	s.nowNs += frameNs
	for id, at := range places {
		i, found := slices.BinarySearchFunc(s.faces, id, func(t track.Track, id uint64) int { return int(t.ID) - int(id) })
		if !found {
			s.faces = slices.Insert(s.faces, i, track.Track{ID: id, FirstNs: s.nowNs})
		}
		s.faces[i].Box = track.Box{X: float32(at.X*width - 20), Y: float32(at.Y*height - 20), W: 40, H: 40, Score: 0.9}
		s.faces[i].SeenNs = s.nowNs
	}
	s.note()
}

// lose ends a face.
func (s *street) lose(id uint64) {
	s.faces = slices.DeleteFunc(s.faces, func(t track.Track) bool { return t.ID == id })
	s.tick(0)
}

// tick lets time pass without a frame.
func (s *street) tick(d time.Duration) {
	s.nowNs += d.Nanoseconds()
	s.note()
}

func (s *street) note() {
	for _, m := range s.watcher.Update(s.faces, width, height, s.nowNs) {
		s.moments = append(s.moments, m)
		words := []string{string(m.Kind), fmt.Sprint(m.Face.ID), m.Zone + m.Line, string(m.Direction)}
		s.said = append(s.said, strings.TrimSpace(strings.Join(words, " ")))
	}
}

func (s *street) expect(t *testing.T, want ...string) {
	t.Helper()
	for i, words := range s.said {
		s.said[i] = strings.Join(strings.Fields(words), " ")
	}
	if !slices.Equal(s.said, want) {
		t.Fatalf("%q, want %q", s.said, want)
	}
}

func stand(s *street, at Point, frames int) {
	for range frames {
		s.frame(map[uint64]Point{1: at})
	}
}

func TestAFaceAppearsEntersLeavesAndIsGone(t *testing.T) {
	s := newStreet(Settings{Zones: []Zone{{Name: "step", Polygon: square}}})
	stand(s, Point{0.1, 0.5}, 3)
	stand(s, Point{0.5, 0.5}, 21)
	stand(s, Point{0.9, 0.5}, 10)
	s.lose(1)
	s.expect(t, "appeared 1", "entered 1 step", "left 1 step", "gone 1")
	left := s.moments[2]
	if dwell := left.EndedNs - left.BeganNs; dwell != 20*frameNs {
		t.Errorf("was inside for %d ns, want %d: from the first to the last frame inside", dwell, 20*frameNs)
	}
	if count := s.watcher.Counts("step"); count != (Count{Entered: 1, Left: 1}) {
		t.Errorf("counted %+v", count)
	}
}

func TestAFaceThatIsLostInsideLeavesWhenItWasLastSeen(t *testing.T) {
	s := newStreet(Settings{Zones: []Zone{{Name: "step", Polygon: square}}})
	stand(s, Point{0.5, 0.5}, 11)
	s.tick(time.Second)
	s.lose(1)
	s.expect(t, "appeared 1", "entered 1 step", "left 1 step", "gone 1")
	for _, m := range s.moments[2:] {
		if m.EndedNs-m.BeganNs != 10*frameNs {
			t.Errorf("%s after %d ns", m.Kind, m.EndedNs-m.BeganNs)
		}
	}
}

func TestWhoPassesQuickerThanTheDwellHasNotEntered(t *testing.T) {
	s := newStreet(Settings{Zones: []Zone{{Name: "step", Polygon: square, MinDwell: time.Second}}})
	stand(s, Point{0.5, 0.5}, 9)
	stand(s, Point{0.9, 0.5}, 20)
	s.expect(t, "appeared 1")
	stand(s, Point{0.5, 0.5}, 11)
	s.expect(t, "appeared 1", "entered 1 step")
	if entered := s.moments[1]; s.nowNs-entered.BeganNs != secondNs {
		t.Errorf("entered %d ns ago, want when it was first inside", s.nowNs-entered.BeganNs)
	}
}

// Frames may be further apart than a face must be outside to have left: one that shows it there proves nothing.
func TestAFaceOnTheBorderThatShakesEntersOnce(t *testing.T) {
	for _, between := range []time.Duration{100 * time.Millisecond, 500 * time.Millisecond, time.Second} {
		for _, dwell := range []time.Duration{0, 2 * time.Second} {
			s := newStreet(Settings{Zones: []Zone{{Name: "step", Polygon: square, MinDwell: dwell}}})
			for n := range 200 {
				s.tick(between - time.Duration(frameNs))
				stand(s, Point{0.2 + 0.01*float64(n%3-1), 0.5}, 1)
			}
			s.expect(t, "appeared 1", "entered 1 step")
		}
	}
}

func TestAFaceHasLeftOnceItWasSeenOutsideForHalfASecond(t *testing.T) {
	s := newStreet(Settings{Zones: []Zone{{Name: "step", Polygon: square}}})
	stand(s, Point{0.5, 0.5}, 1)
	s.tick(time.Minute) // hidden
	stand(s, Point{0.9, 0.5}, 5)
	s.expect(t, "appeared 1", "entered 1 step")
	stand(s, Point{0.9, 0.5}, 1)
	s.expect(t, "appeared 1", "entered 1 step", "left 1 step")
	if left := s.moments[2]; left.EndedNs != left.BeganNs {
		t.Errorf("left %d ns after it entered, want when it was last inside", left.EndedNs-left.BeganNs)
	}
}

func TestALineIsCrossedInBothDirections(t *testing.T) {
	s := newStreet(Settings{Lines: []Line{gate}})
	stand(s, Point{0.4, 0.5}, 2)
	stand(s, Point{0.6, 0.5}, 2)
	stand(s, Point{0.4, 0.5}, 2)
	s.expect(t, "appeared 1", "crossed 1 gate in", "crossed 1 gate out")
	if count := s.watcher.Counts("gate"); count != (Count{In: 1, Out: 1}) {
		t.Errorf("counted %+v", count)
	}
}

func TestAFaceThatJumpsOverALineHasCrossedIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		side := rapid.Float64Range(0.03, 0.49)
		y := rapid.Float64Range(0.05, 0.95)
		from := Point{0.5 - side.Draw(t, "from the left"), y.Draw(t, "y")}
		to := Point{0.5 + side.Draw(t, "to the right"), y.Draw(t, "later y")}
		s := newStreet(Settings{Lines: []Line{gate}})
		stand(s, from, 1)
		s.tick(time.Duration(rapid.Int64Range(0, 900).Draw(t, "hidden ms")) * time.Millisecond)
		stand(s, to, 1)
		if len(s.moments) != 2 || s.moments[1].Direction != In {
			t.Fatalf("from %v to %v: %q", from, to, s.said)
		}
	})
}

func TestAFaceThatStandsOnALineDoesNotCrossItWithEachShake(t *testing.T) {
	s := newStreet(Settings{Lines: []Line{gate}})
	stand(s, Point{0.4, 0.5}, 1)
	for n := range 300 {
		stand(s, Point{0.5 + 0.004*float64(n%5-2), 0.5}, 1)
	}
	stand(s, Point{0.6, 0.5}, 1)
	s.expect(t, "appeared 1", "crossed 1 gate in")
}

func TestPassingBesideALineIsNotCrossingIt(t *testing.T) {
	short := Line{Name: "gate", From: Point{0.5, 0.4}, To: Point{0.5, 0}}
	s := newStreet(Settings{Lines: []Line{short}})
	stand(s, Point{0.4, 0.8}, 1)
	stand(s, Point{0.6, 0.8}, 1)
	s.expect(t, "appeared 1")
}

// Whatever the walk, and for a line through the whole picture.
func TestALineIsCrossedInAndOutByTurns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStreet(Settings{Lines: []Line{gate}})
		for range rapid.IntRange(2, 40).Draw(t, "steps") {
			stand(s, Point{rapid.Float64Range(0, 1).Draw(t, "x"), rapid.Float64Range(0, 1).Draw(t, "y")}, 1)
		}
		for i := 2; i < len(s.moments); i++ {
			if s.moments[i].Direction == s.moments[i-1].Direction {
				t.Fatalf("twice the same way: %q", s.said)
			}
		}
	})
}

// Whatever happens to three faces, what is told adds up to what is believed.
func TestEntriesLessLeavesAreWhoIsInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStreet(Settings{Zones: []Zone{{Name: "step", Polygon: square, MinDwell: 150 * time.Millisecond}}})
		next := map[uint64]uint64{1: 1, 2: 2, 3: 3} // the number each of three people has now; it grows by 3 when lost
		for range 60 {
			places := map[uint64]Point{}
			for person, id := range next {
				switch rapid.IntRange(0, 9).Draw(t, "fate") {
				case 0:
					s.lose(id)
					next[person] = id + 3
				case 1, 2:
				default:
					places[id] = Point{rapid.Float64Range(0, 1).Draw(t, "x"), rapid.Float64Range(0, 1).Draw(t, "y")}
				}
			}
			s.frame(places)
			open := map[string]int{}
			for _, m := range s.moments {
				key := fmt.Sprint(m.Face.ID, " ", m.Zone)
				switch m.Kind {
				case Appeared, Entered:
					open[key]++
				case Left, Gone:
					open[key]--
				}
				if open[key] < 0 || open[key] > 1 || m.EndedNs != 0 && m.EndedNs < m.BeganNs {
					t.Fatalf("%q", s.said)
				}
			}
			inside, there := 0, 0
			for key, count := range open {
				if strings.HasSuffix(key, "step") {
					inside += count
				} else {
					there += count
				}
			}
			states := s.watcher.States()
			if states[0].Faces != there || states[1].Faces != inside {
				t.Fatalf("%+v after %q", states, s.said)
			}
		}
	})
}

func TestMasksAndSmallFacesAreIgnored(t *testing.T) {
	s := Settings{Masks: []Polygon{square}, MinFace: 30}
	cases := map[string]struct {
		box  track.Box
		want bool
	}{
		"large and outside": {track.Box{X: 0, Y: 0, W: 40, H: 40}, false},
		"in the mask":       {track.Box{X: 480, Y: 230, W: 40, H: 40}, true},
		"too narrow":        {track.Box{X: 0, Y: 0, W: 29, H: 60}, true},
	}
	for name, c := range cases {
		if got := s.Ignores(c.box, width, height); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAZoneFallsEmptyWithItsOwnDelayWithoutAFrame(t *testing.T) {
	s := newStreet(Settings{Occupied: Delays{Off: time.Second}, Zones: []Zone{{Name: "step", Polygon: square, Occupied: Delays{Off: 3 * time.Second}}}})
	stand(s, Point{0.5, 0.5}, 1)
	s.lose(1)
	for _, want := range [][2]bool{{true, true}, {false, true}, {false, true}, {false, false}} {
		states := s.watcher.States()
		if got := [2]bool{states[0].Occupied, states[1].Occupied}; got != want {
			t.Fatalf("picture and zone %v, want %v", got, want)
		}
		s.tick(time.Second)
	}
}
