// SPDX-License-Identifier: Apache-2.0

// Package zone watches the followed faces of one camera: who appears, enters a zone, crosses a line, leaves and is gone,
// and whether a place counts as occupied.
//
// The place of a face is the middle of its box. All times are CLOCK_MONOTONIC nanoseconds, so that a jump of the clock on
// the wall bends no duration.
package zone

import (
	"time"

	"visavis/capture/internal/track"
)

// Zone is a part of the picture that is watched by itself.
type Zone struct {
	Name     string
	Polygon  Polygon
	MinDwell time.Duration // a face must be inside for so long before it has entered
	Occupied Delays
}

// Settings are what is watched at one camera.
type Settings struct {
	Occupied Delays // of the whole picture
	Zones    []Zone
	Lines    []Line
	Masks    []Polygon // faces in there are not followed
	MinFace  float64   // faces whose shorter side has fewer pixels are not followed
}

// Defaults are those of a camera in contracts/config.toml.
func Defaults() Settings { return Settings{Occupied: Delays{Off: 2 * time.Second}} }

// Ignores tells whether a face of a picture of width x height pixels is not to be followed.
func (s Settings) Ignores(b track.Box, width, height int) bool {
	if float64(min(b.W, b.H)) < s.MinFace {
		return true
	}
	at := middle(b, picture{float64(width), float64(height)})
	for _, mask := range s.Masks {
		if mask.Contains(at) {
			return true
		}
	}
	return false
}

func middle(b track.Box, p picture) Point {
	return Point{(float64(b.X) + float64(b.W)/2) / max(p.width, 1), (float64(b.Y) + float64(b.H)/2) / max(p.height, 1)}
}

// Kind is what happened.
type Kind string

// What can happen to a face, in this order.
const (
	Appeared Kind = "appeared" // it is believed to be there
	Entered  Kind = "entered"  // a zone
	Crossed  Kind = "crossed"  // a line
	Left     Kind = "left"     // a zone
	Gone     Kind = "gone"     // it was not seen for long enough
)

// Moment is one thing that happened to one face.
type Moment struct {
	Kind      Kind
	Face      track.Track // as it was last seen
	Zone      string      // of Entered and Left
	Line      string      // of Crossed
	Direction Direction   // of Crossed
	BeganNs   int64       // Appeared, Gone: first seen; Entered, Left: first seen inside; Crossed: when
	EndedNs   int64       // Left: last seen inside; Gone: last seen; 0 otherwise
}

// Count is what a place has seen since the watcher began.
type Count struct{ Entered, Left, In, Out uint64 }

// State is what is believed about a zone, or about the whole picture when Zone is "".
type State struct {
	Zone     string
	Faces    int
	Occupied bool
}
