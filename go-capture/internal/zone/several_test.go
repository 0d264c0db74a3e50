// SPDX-License-Identifier: Apache-2.0

package zone

import (
	"fmt"
	"testing"
	"time"

	"visavis/capture/internal/track"
)

// Two of each, that differ in everything.
func TestTwoZonesAndTwoLinesAreTwo(t *testing.T) {
	near := Polygon{{0, 0}, {0.3, 0}, {0.3, 1}, {0, 1}}
	far := Polygon{{0.7, 0}, {1, 0}, {1, 1}, {0.7, 1}}
	out := Line{Name: "fence", From: Point{0.6, 0}, To: Point{0.6, 1}} // from top to bottom: going to the right is out
	s := newStreet(Settings{
		Zones: []Zone{{Name: "near", Polygon: near}, {Name: "far", Polygon: far, MinDwell: time.Second, Occupied: Delays{Off: time.Hour}}},
		Lines: []Line{gate, out},
	})
	stand(s, Point{0.1, 0.5}, 1)
	stand(s, Point{0.9, 0.5}, 10)
	s.expect(t, "appeared 1", "entered 1 near", "crossed 1 gate in", "crossed 1 fence out", "left 1 near")
	stand(s, Point{0.9, 0.5}, 1)
	if got := fmt.Sprint(s.watcher.States()); got != "[{ 1 true} {near 0 false} {far 1 true}]" {
		t.Error(got)
	}
	s.lose(1)
	s.expect(t, "appeared 1", "entered 1 near", "crossed 1 gate in", "crossed 1 fence out", "left 1 near", "entered 1 far", "left 1 far", "gone 1")
	if got := fmt.Sprint(s.watcher.States()); got != "[{ 0 false} {near 0 false} {far 0 true}]" {
		t.Error(got)
	}
	for name, want := range map[string]Count{"near": {Entered: 1, Left: 1}, "far": {Entered: 1, Left: 1}, "gate": {In: 1}, "fence": {Out: 1}} {
		if got := s.watcher.Counts(name); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

func TestTheSecondMaskMasksToo(t *testing.T) {
	other := Polygon{{0, 0}, {0.1, 0}, {0.1, 0.1}, {0, 0.1}}
	s := Settings{Masks: []Polygon{other, square}, MinFace: 40}
	if !s.Ignores(track.Box{X: 480, Y: 230, W: 40, H: 40}, width, height) {
		t.Error("a face in the second mask is followed")
	}
	if s.Ignores(track.Box{X: 800, Y: 400, W: 40, H: 40}, width, height) {
		t.Error("one exactly as large as min_face is ignored")
	}
}

func TestAFaceIsMaskedByItsMiddle(t *testing.T) {
	s := Settings{Masks: []Polygon{square}} // from 0.2 to 0.8
	for y, want := range map[float32]bool{-1: false, 1: true, 299: true, 301: false} {
		if got := s.Ignores(track.Box{X: 450, Y: y, W: 100, H: 200}, width, height); got != want {
			t.Errorf("middle at %v: %v", y+100, got)
		}
	}
}

func TestALevelLineIsCrossedWhenItIsAndByPixels(t *testing.T) {
	level := Line{Name: "sill", From: Point{0, 0.5}, To: Point{1, 0.5}}
	s := newStreet(Settings{Lines: []Line{level}})
	stand(s, Point{0.5, 0.4}, 1)
	stand(s, Point{0.5, 0.515}, 1) // 7.5 of 500 pixels: less than a quarter of the face
	s.expect(t, "appeared 1")
	stand(s, Point{0.5, 0.53}, 1)
	s.expect(t, "appeared 1", "crossed 1 sill in")
	if s.moments[1].BeganNs != s.nowNs {
		t.Errorf("crossed %d ns ago", s.nowNs-s.moments[1].BeganNs)
	}
}
