// SPDX-License-Identifier: Apache-2.0

// Package track tells which boxes of successive frames are the same face, and when a place counts as occupied.
//
// All times are CLOCK_MONOTONIC nanoseconds of the frames themselves, or of a tick when no frames come, so a camera at 2
// frames a second and one at 60 lose a face after the same time.
package track

// Box is a detected rectangle in pixels of the picture.
type Box struct{ X, Y, W, H, Score float32 }

// Tracker follows the faces of one camera. It is used by one goroutine.
type Tracker interface {
	// Update takes the boxes of one inferred frame and returns a track number for each of them, 0 while unconfirmed.
	Update(boxes []Box, nowNs int64) []uint64
	// Advance lets time pass without a frame: tracks not seen for long enough are lost.
	Advance(nowNs int64)
	// Confirmed is the number of faces that are believed to be there.
	Confirmed() int
}
