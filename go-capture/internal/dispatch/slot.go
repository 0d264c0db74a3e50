// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"hash/crc32"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/ring"
)

type slotState int

const (
	free slotState = iota
	writing
	pending
	leased
	late  // leased, and waiting for a second worker
	spent // ended, and still in a worker's hands
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Frame is what the capturer knows about a picture. Picture travels to the Outcome, whose receiver releases it.
type Frame struct {
	CapturedNs, ReadyNs int64 // CLOCK_MONOTONIC
	Letterbox           geometry.Letterbox
	Picture             *frame.Picture
}

// Slot is the place of one frame in a ring. It belongs to the capturer from Acquire to Publish or Abort.
type Slot struct {
	stream     *Stream
	index      int
	bytes      []byte
	state      slotState
	seq        uint64
	tries      int // workers that it was lent to
	frame      Frame
	crc32c     uint32
	leases     []*lease // more than one of a client's picture that was late
	dispatchNs int64    // of the lease that ended it
}

// Bytes is the network's picture, width x height x 3 bytes of BGR; nil when the frame found no slot.
func (s *Slot) Bytes() []byte { return s.plane(0) }

// Full is the second picture, FullWidth x FullHeight x 3 bytes of BGR; nil when the stream has none or the frame no slot.
func (s *Slot) Full() []byte {
	if !s.stream.spec.hasFull() {
		return nil
	}
	return s.plane(ring.FullPicturePlane)
}

func (s *Slot) plane(index int) []byte {
	if s.bytes == nil {
		return nil
	}
	planes, _ := s.stream.spec.planes()
	start, end := planes[index].Offset, planes[index].Offset+planes[index].Bytes
	return s.bytes[start:end:end]
}

// size is that of the network's picture in the slot.
func (s *Slot) size() (width, height int) {
	if s.stream.spec.OwnSize {
		return s.frame.Letterbox.Width, s.frame.Letterbox.Height
	}
	return s.stream.spec.Width, s.stream.spec.Height
}

// weight is how many frames' work the frame is, 1 or more.
func (s *Slot) weight() float64 {
	if !s.stream.spec.OwnSize {
		return 1
	}
	width, height := s.size()
	return max(1, float64(width*height)/float64(max(1, s.stream.spec.Unit)))
}

// leaseMs is how long a worker may hold the frame.
func (s *Slot) leaseMs() float64 { return s.weight() * float64(s.stream.dispatcher.options.LeaseMs) }

// Seq is the frame's number, from 1, one more for each captured frame of the camera.
func (s *Slot) Seq() uint64 { return s.seq }

// Publish offers the written frame to workers. The slot is no longer the caller's.
func (s *Slot) Publish(f Frame) {
	if s.bytes == nil {
		return
	}
	d := s.stream.dispatcher
	var sum uint32
	if d.options.Checksums {
		sum = crc32.Checksum(s.bytes, castagnoli)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.state != writing {
		return
	}
	s.frame, s.crc32c, s.state = f, sum, pending
	header := s.header()
	s.stream.memory.PutSlotHeader(s.index, &header)
	s.stream.pending = append(s.stream.pending, s)
	if s.stream.retired {
		s.stream.supersede(0)
		return
	}
	for len(s.stream.pending) > s.stream.spec.Depth {
		s.stream.supersede(0)
	}
	d.pump()
}

// Abort gives the slot back unwritten.
func (s *Slot) Abort() {
	if s.bytes == nil {
		return
	}
	s.stream.dispatcher.mu.Lock()
	defer s.stream.dispatcher.mu.Unlock()
	if s.state != writing {
		return
	}
	s.stream.account.Aborted++
	s.end(Outcome{Fate: Aborted})
}

// end reports what became of the frame, and frees the slot unless a late worker still has it.
func (s *Slot) end(o Outcome) {
	o.Stream, o.Seq, o.Frame, o.DispatchNs = s.stream.spec.Name, s.seq, s.frame, s.dispatchNs
	s.state, s.frame = spent, Frame{}
	s.stream.account.InFlight--
	s.stream.dispatcher.options.Outcome(o)
	s.release()
}

// release frees a slot that nobody needs any more.
func (s *Slot) release() {
	if s.state == spent && len(s.leases) == 0 {
		s.state = free
		s.stream.finish()
	}
}

func (s *Slot) header() ring.SlotHeader {
	m := s.message()
	return ring.SlotHeader{
		Generation: 2 * s.seq, FrameSeq: s.seq, CapturedNs: s.frame.CapturedNs, ReadyNs: s.frame.ReadyNs,
		PayloadBytes: m.PayloadBytes, CRC32C: m.CRC32C, Width: m.Width, Height: m.Height, FourCC: m.FourCC,
		PlaneCount: m.PlaneCount, Planes: m.Planes,
	}
}

// message is the FRAME of this slot without what only dispatch knows.
func (s *Slot) message() ring.Frame {
	width, height := s.size()
	m := ring.Frame{
		RingID: s.stream.id, Slot: uint32(s.index), FrameSeq: s.seq, CapturedNs: s.frame.CapturedNs,
		LeaseMs: uint32(s.leaseMs()), Width: uint32(width), Height: uint32(height), FourCC: ring.FourCCBGR3,
		PlaneCount: 1, PayloadBytes: uint32(len(s.bytes)), CRC32C: s.crc32c, Superseded: s.stream.superseded,
		Scale: s.frame.Letterbox.Scale, PadX: s.frame.Letterbox.PadX, PadY: s.frame.Letterbox.PadY,
		SourceWidth: uint16(s.frame.Letterbox.SourceWidth), SourceHeight: uint16(s.frame.Letterbox.SourceHeight),
	}
	m.Planes, _ = s.stream.spec.planes()
	if s.stream.spec.OwnSize {
		m.Planes[0] = bgrPlane(0, width, height)
	}
	if s.stream.spec.hasFull() {
		m.PlaneCount, m.Flags = ring.MaxPlanes, ring.FrameFlagFullInP3
	}
	return m
}
