// SPDX-License-Identifier: Apache-2.0

package zone

import (
	"fmt"
	"testing"
	"time"

	"visavis/capture/internal/track"
)

var whole = Polygon{{0, 0}, {1, 0}, {1, 1}, {0, 1}}

// tracked shows one face at these places to a tracker, and what that follows to a watcher; then it is lost. No place: not seen.
func tracked(s Settings, hits int, between time.Duration, places ...*Point) []Moment {
	faces := track.Defaults()
	faces.Hits, faces.Interval = hits, between
	tracker, watcher, nowNs := track.New(faces), NewWatcher(s), 100*secondNs
	var moments []Moment
	for _, at := range places {
		var boxes []track.Box
		if at != nil {
			boxes = []track.Box{{X: float32(at.X*width - 50), Y: float32(at.Y*height - 50), W: 100, H: 100, Score: 0.9}}
		}
		tracker.Update(boxes, nowNs)
		moments = append(moments, watcher.Update(tracker.Tracks(), width, height, nowNs)...)
		nowNs += between.Nanoseconds()
	}
	return append(moments, watcher.Update(nil, width, height, nowNs)...)
}

// told is what happened, with when it began and how long it lasted, in frames.
func told(moments []Moment, between time.Duration) string {
	words := ""
	for _, m := range moments {
		words += fmt.Sprintf("%s%s %d", m.Kind, m.Direction, (m.BeganNs-100*secondNs)/between.Nanoseconds())
		if m.EndedNs != 0 {
			words += fmt.Sprintf("+%d", (m.EndedNs-m.BeganNs)/between.Nanoseconds())
		}
		words += ", "
	}
	return words
}

// A face is believed at its third frame, but where it was before counts.
func TestWhatAFaceDidBeforeItWasBelievedCounts(t *testing.T) {
	const between = 200 * time.Millisecond
	left, middle, right := &Point{0.35, 0.5}, &Point{0.45, 0.5}, &Point{0.55, 0.5}
	before, behind := &Point{0.46, 0.5}, &Point{0.54, 0.5}
	line, all := Settings{Lines: []Line{gate}}, Settings{Zones: []Zone{{Name: "all", Polygon: whole}}}
	slow := Settings{Zones: []Zone{{Name: "all", Polygon: whole, MinDwell: 2 * between}}}
	passed := Settings{Zones: []Zone{{Name: "first", Polygon: Polygon{{0, 0}, {0.5, 0}, {0.5, 1}, {0, 1}}}}}
	for name, c := range map[string]struct {
		settings Settings
		hits     int
		places   []*Point
		want     string
	}{
		"over a line":         {line, 3, []*Point{left, middle, right}, "appeared 0, crossedin 2, gone 0+2, "},
		"and back":            {line, 4, []*Point{before, behind, behind, before}, "appeared 0, crossedin 1, crossedout 3, gone 0+3, "},
		"within a zone":       {all, 3, []*Point{left, left, left, left}, "appeared 0, entered 0, left 0+3, gone 0+3, "},
		"for min_dwell_ms":    {slow, 3, []*Point{left, left, left}, "appeared 0, entered 0, left 0+2, gone 0+2, "},
		"through a zone":      {passed, 5, []*Point{before, behind, behind, behind, behind}, "appeared 0, entered 0, left 0+0, gone 0+4, "},
		"flickering at first": {all, 3, []*Point{left, nil, nil, left, nil, nil, left, nil, left, left}, "appeared 0, entered 6, left 6+3, gone 0+9, "},
		"a glimpse elsewhere": {line, 3, []*Point{middle, nil, nil, right, right, right}, "appeared 0, gone 0+5, "},
		"believed at once":    {all, 1, []*Point{left, left}, "appeared 0, entered 0, left 0+1, gone 0+1, "},
		"never believed":      {line, 3, []*Point{left, right}, ""},
	} {
		if got := told(tracked(c.settings, c.hits, between, c.places...), between); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
