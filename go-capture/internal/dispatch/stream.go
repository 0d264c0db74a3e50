// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"log/slog"
	"sync"

	"visavis/capture/internal/ring"
)

// StreamSpec describes one camera in one format, or the pictures of clients. Slots 0 computes the number, and gives more when more
// workers connect: guests then have Beside slots more than workers may hold. Depth is how many frames may wait, 1 if 0: of guests all
// that have a slot, for none of theirs is ever superseded. With OwnSize each frame has the size of its Letterbox, Width x Height at most,
// and counts as so many frames as it has Units of pixels.
type StreamSpec struct {
	Name                  string
	Width, Height         int // of the network's picture
	FullWidth, FullHeight int // of a second picture in the same slot, for crops; 0 if there is none
	Slots, Depth, Beside  int
	Guest                 bool // not a camera: guests together get Options.GuestShare of the workers while cameras wait
	OwnSize               bool
	Unit                  int // pixels, of OwnSize
	Tries                 int // workers that a frame may be lent to, each after the death of the one before; 1 if 0
}

// planes says where the pictures lie in a slot, and how many bytes they take.
func (s StreamSpec) planes() (planes [ring.MaxPlanes]ring.Plane, used int) {
	planes[0] = bgrPlane(0, s.Width, s.Height)
	used = int(planes[0].Bytes)
	if s.hasFull() {
		planes[ring.FullPicturePlane] = bgrPlane((used+ring.Align-1)/ring.Align*ring.Align, s.FullWidth, s.FullHeight)
		used = int(planes[ring.FullPicturePlane].Offset + planes[ring.FullPicturePlane].Bytes)
	}
	return planes, used
}

func (s StreamSpec) hasFull() bool { return s.FullWidth > 0 && s.FullHeight > 0 }

func bgrPlane(offset, width, height int) ring.Plane {
	return ring.Plane{
		Offset: uint32(offset), Bytes: uint32(3 * width * height), Stride: uint32(3 * width), Rows: uint32(height),
	}
}

// Stream is the writing side of one ring. A camera's Acquire is called by one goroutine, so that numbers follow the order of capture.
type Stream struct {
	dispatcher *Dispatcher
	spec       StreamSpec
	id         uint32 // of the stream and of its only ring
	memory     *ring.Ring
	account    *account
	slots      []*Slot
	pending    []*Slot // oldest first
	served     uint64  // turn of the last dispatch
	superseded uint32  // since the last dispatch
	retired    bool
	gone       bool
	growing    int // calls of grow, for which the memory stays mapped
	reserving  sync.Mutex
}

// room is how many slots a stream needs while so many workers are connected, but no more than a ring has: workers may then hold all.
func (d *Dispatcher) room(spec StreamSpec, workers int) int {
	if spec.Slots > 0 {
		return spec.Slots
	}
	lent := workers * d.options.Credit
	// The credit covers a replacement that connects before a dead worker's leases are back.
	needed := lent + d.options.Credit + d.options.Visitors + 2
	if spec.Guest {
		// Twice: a late worker may hold what another one has answered already.
		needed = 2*lent + spec.Beside
	}
	return min(needed, ring.MaxSlots)
}

// wanted is how many slots the stream needs for one more worker. The mutex is held.
func (s *Stream) wanted() int {
	return min(s.dispatcher.room(s.spec, s.dispatcher.connected()+1), s.memory.Slots())
}

// grow gives the stream the slots that are wanted now. The mutex is held, but let go of while memory is got for them: where little is
// left that takes long, and cameras, results and the timer must not wait for it. A stream that is retired meanwhile needs none any more.
func (s *Stream) grow() error {
	slots := s.wanted()
	s.growing++
	s.dispatcher.mu.Unlock()
	err := s.reserve(slots)
	s.dispatcher.mu.Lock()
	s.growing--
	switch {
	case s.gone:
		s.unmap()
	case s.retired:
	case err != nil:
		return fmt.Errorf("the ring of %s for one more worker: %w", s.spec.Name, err)
	default:
		s.widen(slots)
	}
	return nil
}

// reserve gets memory for one worker after the other, since a ring takes no two at once. The mutex of the dispatcher is not held.
func (s *Stream) reserve(slots int) error {
	s.reserving.Lock()
	defer s.reserving.Unlock()
	return s.dispatcher.reserve(s.memory, slots)
}

// widen makes slots of memory that is there.
func (s *Stream) widen(slots int) {
	for i := len(s.slots); i < slots; i++ {
		s.slots = append(s.slots, &Slot{stream: s, index: i, bytes: s.memory.Payload(i)})
	}
}

// Acquire counts a captured frame and gives the slot to write it to. When there is none, or the stream was retired, the outcome is
// already reported, Bytes is nil, and Publish and Abort do nothing.
func (s *Stream) Acquire() *Slot {
	s.dispatcher.mu.Lock()
	defer s.dispatcher.mu.Unlock()
	s.account.Captured++
	s.account.seq++
	slot := s.free()
	if slot == nil {
		s.account.NoSlot++
		none := &Slot{stream: s, seq: s.account.seq}
		s.dispatcher.options.Outcome(Outcome{Stream: s.spec.Name, Seq: none.seq, Fate: NoSlot})
		return none
	}
	slot.state, slot.seq, slot.tries, slot.frame, slot.dispatchNs = writing, s.account.seq, 0, Frame{}, 0
	s.account.InFlight++
	s.memory.PutSlotHeader(slot.index, &ring.SlotHeader{Generation: 2*slot.seq + 1, FrameSeq: slot.seq})
	return slot
}

// free finds a slot to write to; a camera's waiting frame gives way to the newer one. No client's picture gives way to another's.
func (s *Stream) free() *Slot {
	if s.retired {
		return nil
	}
	for _, slot := range s.slots {
		if slot.state == free {
			return slot
		}
	}
	if s.spec.Guest {
		return nil
	}
	for i, slot := range s.pending {
		if slot.state == pending {
			s.supersede(i)
			return slot
		}
	}
	return nil
}

// supersede ends the waiting frame at place i; one that a worker has too stays with it.
func (s *Stream) supersede(i int) {
	slot := s.pending[i]
	s.unwait(slot)
	if slot.state == leased {
		return
	}
	s.superseded++
	s.account.Superseded++
	slot.end(Outcome{Fate: Superseded})
}

// Retire ends the stream because the camera was removed or its format changed: waiting frames are superseded, lent ones run out,
// then workers unmap the ring and its memory is freed. Calling it again does nothing.
func (s *Stream) Retire() {
	s.dispatcher.mu.Lock()
	defer s.dispatcher.mu.Unlock()
	s.retired = true
	for len(s.pending) > 0 {
		s.supersede(0)
	}
	s.finish()
}

// finish frees a retired ring once nobody uses a slot of it.
func (s *Stream) finish() {
	if !s.retired || s.gone {
		return
	}
	for _, slot := range s.slots {
		if slot.state != free {
			return
		}
	}
	s.gone = true
	s.dispatcher.detach(s)
}

// detach tells workers to unmap a ring and frees it.
func (d *Dispatcher) detach(s *Stream) {
	for i, other := range d.streams {
		if other == s {
			d.streams = append(d.streams[:i], d.streams[i+1:]...)
			break
		}
	}
	message := ring.RingRetire{RingID: s.id, Reason: d.retirement(s.spec.Name)}
	packet := make([]byte, ring.RingRetireBytes)
	message.Put(packet)
	for _, w := range append([]*worker(nil), d.workers...) {
		if !w.rings[s.id] {
			continue
		}
		delete(w.rings, s.id)
		if err := w.send(packet, nil); err != nil {
			d.unsent(w, err)
		}
	}
	for _, slot := range s.slots {
		slot.bytes = nil
	}
	s.unmap()
}

// unmap frees the memory of a stream that is gone; while more is being got for it, grow does that in the end.
func (s *Stream) unmap() {
	if s.growing > 0 {
		return
	}
	if err := s.memory.Close(); err != nil {
		go slog.Error("the memory of a stream stays: only a bug can do that", "stream", s.spec.Name, "error", err) // who reads the log may hang
	}
}

func (d *Dispatcher) retirement(name string) uint32 {
	for _, s := range d.streams {
		if s.spec.Name == name {
			return ring.RetirementReplaced
		}
	}
	return ring.RetirementRemoved
}
