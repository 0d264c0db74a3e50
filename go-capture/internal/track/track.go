// SPDX-License-Identifier: Apache-2.0

// Package track tells which boxes of successive frames are the same face.
//
// The way of one frame's boxes, as ByteTrack does it:
//
//  1. each known face is moved to where it should be by now          motion
//  2. sure boxes go to confirmed faces                               assign
//  3. unsure boxes go to confirmed faces that got none: a face that
//     turns away or is half hidden scores low, but it is still there
//  4. sure boxes that are left go to faces not confirmed yet
//  5. sure boxes that are still left begin new faces
//
// A worker that stalls looks at nothing for longer than a face may stay unseen (Await). In the first frame after that, only those go on whom
// the last one before it showed and who may not be mistaken for each other.
//
// All times are CLOCK_MONOTONIC nanoseconds of the frames themselves, or of a tick when no frames come, so a camera at 2
// frames a second and one at 60 lose a face after the same time, and dropped frames change nothing.
package track

import "time"

// Box is a detected rectangle in pixels of the picture.
type Box struct{ X, Y, W, H, Score float32 }

func (b Box) scaled(wider, higher float64) Box {
	x, y := float32(wider), float32(higher)
	return Box{b.X * x, b.Y * y, b.W * x, b.H * y, b.Score}
}

// Track is one confirmed face.
type Track struct {
	ID      uint64 // rises, never used twice
	Box     Box    // where it was last seen
	Best    Box    // the box with the highest score
	FirstNs int64  // of its first box, before it was confirmed
	SeenNs  int64  // of its last box
	// Before is where it was last seen before it was confirmed, since it missed two frames in a row; only after the frame that confirmed it.
	Before []Sight
}

// Sight is a face in one frame.
type Sight struct {
	Box    Box
	SeenNs int64
}

// Settings are what a tracker is made with.
type Settings struct {
	Score     float32       // the least score of a box that begins a track; lower ones only continue one
	Hits      int           // so many of Hits+2 inferred frames must show a face before it is believed; 1 to MostHits
	LostAfter time.Duration // how long a face may stay unseen before its track ends
	Interval  time.Duration // expected between frames; 0: not known, it is measured in any case
}

// MostHits is the largest value of Settings.Hits.
const MostHits = 30

// Defaults are those of contracts/config.toml.
func Defaults() Settings { return Settings{Score: 0.5, Hits: 3, LostAfter: time.Second} }
