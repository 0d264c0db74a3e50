// SPDX-License-Identifier: Apache-2.0

// Package frame holds captured pictures in memory outside Go's heap.
//
// A picture is written once by a source, then read by the letterbox, the encoders and the viewers at the same time, and
// goes back to its pool when the last of them releases it. Its pixels lie in an anonymous mapping, so that a C library
// may keep the pointer across calls, and large pictures cost the garbage collector nothing.
package frame

import (
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	// SideMost is the longest side of a picture in pixels: more than any camera, and 3*SideMost*SideMost fits in 32 bits.
	SideMost = 16384
	// PixelsMost bounds the area of a picture, so that a hostile file cannot ask for gigabytes.
	PixelsMost = 40_000_000
	// populateMost is the size in bytes up to which the kernel gives all of a picture's memory at once: a fault for each page of
	// 640x480 pixels takes 0.6 ms longer, a third of what decoding them does. Of a larger one nothing is taken until it is written,
	// since a hostile header may name a size that never comes.
	populateMost = 8 << 20
	// bytesPerPixel is that of BGR with 8 bits a channel.
	bytesPerPixel = 3
)

// ErrInUse says that a picture was resized while somebody else holds it.
var ErrInUse = errors.New("the picture is held by more than one user")

// Picture is one captured picture. Between Get and the first Retain its owner may write it; after that nobody may.
type Picture struct {
	Pixels        []byte // BGR, HWC, stride = 3*Width; len == 3*Width*Height
	Width, Height int
	JPEG          []byte // the camera's own JPEG of exactly this picture, nil if there is none or it was rotated
	CapturedNs    int64  // CLOCK_MONOTONIC
	DriverSeq     uint64 // the driver's own sequence number, 0 = none

	pool   *Pool
	refs   atomic.Int32
	memory []byte // the whole mapping, nil before the first SetSize
	jpeg   []byte // the storage behind JPEG, kept from one use to the next
}

// SetSize makes Pixels fit width x height. The same size keeps address and content; another size loses the content.
// It fails on a size out of range, when the system has no memory, and with ErrInUse when the picture is shared.
func (p *Picture) SetSize(width, height int) error {
	if width == p.Width && height == p.Height {
		return nil
	}
	if width < 1 || height < 1 || width > SideMost || height > SideMost || width*height > PixelsMost {
		return fmt.Errorf("picture of %dx%d pixels refused: each side must be 1 to %d and the area at most %d pixels", width, height, SideMost, PixelsMost)
	}
	if p.refs.Load() > 1 {
		return fmt.Errorf("resize picture to %dx%d: %w", width, height, ErrInUse)
	}
	if err := p.reserve(bytesPerPixel * width * height); err != nil {
		return fmt.Errorf("memory for a picture of %dx%d pixels: %w", width, height, err)
	}
	p.Pixels = p.memory[: bytesPerPixel*width*height : bytesPerPixel*width*height]
	p.Width, p.Height = width, height
	return nil
}

// SetJPEG copies data, which may come in parts, into storage that the picture owns and lets JPEG point to it.
func (p *Picture) SetJPEG(parts ...[]byte) {
	p.jpeg = p.jpeg[:0]
	for _, part := range parts {
		p.jpeg = append(p.jpeg, part...)
	}
	p.JPEG = p.jpeg
}

// Retain adds one holder; each needs its own Release.
func (p *Picture) Retain() {
	if p.refs.Add(1) < 2 {
		panic("frame: Retain of a picture that nobody holds")
	}
}

// Release gives up one hold. The last one returns the picture to its pool; one too many panics.
func (p *Picture) Release() {
	switch left := p.refs.Add(-1); {
	case left < 0:
		panic("frame: Release of a picture that nobody holds")
	case left == 0:
		p.pool.put(p)
	}
}

// reserve maps at least size bytes, keeping a mapping that is large enough.
func (p *Picture) reserve(size int) error {
	if size <= len(p.memory) {
		return nil
	}
	flags := unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	if size <= populateMost {
		flags |= unix.MAP_POPULATE
	}
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		return err
	}
	p.unmap()
	p.memory = memory
	return nil
}

// unmap gives the mapping back to the system.
func (p *Picture) unmap() {
	if p.memory == nil {
		return
	}
	if err := unix.Munmap(p.memory); err != nil {
		panic("frame: munmap of a picture's own mapping: " + err.Error()) // only a wild write to the struct can cause it
	}
	p.memory, p.Pixels, p.Width, p.Height = nil, nil, 0, 0
}

// MonotonicNs is the time on CLOCK_MONOTONIC in nanoseconds: the clock of cameras, slots and workers.
func MonotonicNs() int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic("frame: CLOCK_MONOTONIC: " + err.Error()) // every Linux has it
	}
	return now.Nano()
}
