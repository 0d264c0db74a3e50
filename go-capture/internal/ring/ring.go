// SPDX-License-Identifier: Apache-2.0

// Package ring is the memory that workers see: one sealed memfd for each stream and format, and the messages about it.
//
// All state about slots and leases lives in package dispatch, in the daemon's own heap: nothing here can be corrupted by a worker.
package ring

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// seals fix the size and allow no new writable view; the mapping made before them stays writable.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_FUTURE_WRITE | unix.F_SEAL_SEAL

// Spec says what a ring is for. PayloadBytes is what one slot holds. There is memory for the first Reserved slots, all if 0; Reserve
// gets more.
type Spec struct {
	RingID, StreamID                             uint32
	InstanceID                                   uint64
	StreamName                                   string
	Width, Height, Slots, PayloadBytes, Reserved int
}

// Ring is one sealed memfd and its writable mapping. Not safe for concurrent use of one slot.
type Ring struct {
	spec   Spec
	fd     int
	memory []byte
	header Header

	reserved  int64 // bytes from the start that have memory
	fallocate func(fd int, mode uint32, from, bytes int64) error
	left      func() int64 // bytes of memory, see left
}

// errNoRoom says no numbers: who tries again and again says a reason once.
var errNoRoom = fmt.Errorf("%w below the limit on the daemon's memory", unix.ENOMEM)

// allocating lets one ring at a time see what is left, and take it.
var allocating sync.Mutex

// Create makes the memory, writes its header and seals it. The error says which step failed and what to do.
func Create(spec Spec) (*Ring, error) {
	header, err := layout(spec)
	if err != nil {
		return nil, err
	}
	fd, err := memfd("visavis-" + spec.StreamName)
	if err != nil {
		return nil, fmt.Errorf("create ring of %s: memfd_create: %w; %s", spec.StreamName, err, memfdRemedy(err))
	}
	r := &Ring{spec: spec, fd: fd, header: header, fallocate: unix.Fallocate, left: leftHere}
	if err := r.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("create ring of %s: %w", spec.StreamName, err), r.Close())
	}
	return r, nil
}

func layout(spec Spec) (Header, error) {
	if spec.Slots < 1 || spec.Slots > MaxSlots {
		return Header{}, fmt.Errorf("ring of %s: %d slots, must be 1 to %d; lower workers or credit", spec.StreamName, spec.Slots, MaxSlots)
	}
	if spec.PayloadBytes < 1 || spec.Width < 1 || spec.Height < 1 {
		return Header{}, fmt.Errorf("ring of %s: picture %dx%d of %d bytes is empty", spec.StreamName, spec.Width, spec.Height, spec.PayloadBytes)
	}
	stride := uint64(spec.PayloadBytes+Align-1) / Align * Align
	h := Header{
		Major: Major, Minor: Minor, RingID: spec.RingID, StreamID: spec.StreamID, SlotCount: uint32(spec.Slots),
		SlotHeaderStride: SlotHeaderStride, SlotHeaderOffset: SlotHeaderOffset, DataOffset: DataOffset, SlotStride: stride,
		FileSize: DataOffset + stride*uint64(spec.Slots), InstanceID: spec.InstanceID,
	}
	h.StreamName.Set(spec.StreamName)
	return h, nil
}

// memfd asks for a file that can never be executed; kernels before 6.3 do not know the flag.
func memfd(name string) (int, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		return unix.MemfdCreate(name, flags)
	}
	return fd, err
}

func memfdRemedy(err error) string {
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		return "use fewer cameras, or raise the limit on open files (LimitNOFILE of the unit, ulimit -n)"
	case errors.Is(err, unix.ENOMEM):
		return "use fewer cameras or more memory"
	default:
		return "the kernel must be Linux 5.1 or newer"
	}
}

func (r *Ring) prepare() error {
	size := int64(r.header.FileSize)
	if err := unix.Ftruncate(r.fd, size); err != nil {
		return fmt.Errorf("set its size to %d bytes: %w", size, err)
	}
	memory, err := unix.Mmap(r.fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map %d bytes: %w; free memory or raise the limit on address space", size, err)
	}
	r.memory = memory
	if err := r.Reserve(r.spec.reserved()); err != nil {
		return err
	}
	r.header.Put(memory)
	return r.seal()
}

func (s Spec) reserved() int {
	if s.Reserved == 0 {
		return s.Slots
	}
	return min(s.Reserved, s.Slots)
}

// Reserve gets memory for the first slots of the ring, as far as they have none; without it the writer would die of SIGBUS when memory
// runs out. Slots that have memory may be used meanwhile: no page of theirs is touched, since each slot begins at a multiple of Align, and
// only Reserve knows of reserved. It is not safe beside itself or Close.
func (r *Ring) Reserve(slots int) error {
	end := int64(r.header.DataOffset) + int64(r.header.SlotStride)*int64(slots)
	if end <= r.reserved {
		return nil
	}
	if err := r.allocate(end); err != nil {
		return fmt.Errorf("reserve %d bytes: %w; use a smaller size, fewer cameras or more memory", end-r.reserved, err)
	}
	from := r.reserved / int64(os.Getpagesize()) * int64(os.Getpagesize())
	// Only a first touch that costs less: kernels before 5.14 do not know it.
	_ = unix.Madvise(r.memory[from:end], unix.MADV_POPULATE_WRITE)
	r.reserved = end
	return nil
}

// allocate gets memory up to an end. The kernel refuses none that a limit of ours has no room for, but kills us: we do not ask then.
func (r *Ring) allocate(end int64) error {
	allocating.Lock()
	defer allocating.Unlock()
	if end-r.reserved > r.left()-keptBytes {
		return errNoRoom
	}
	for { // a signal in between takes all of it away again
		if err := r.fallocate(r.fd, 0, r.reserved, end-r.reserved); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func (r *Ring) seal() error {
	if _, err := unix.FcntlInt(uintptr(r.fd), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal: %w; workers could change frames without F_SEAL_FUTURE_WRITE (Linux 5.1)", err)
	}
	have, err := unix.FcntlInt(uintptr(r.fd), unix.F_GET_SEALS, 0)
	if err != nil {
		return fmt.Errorf("read the seals back: %w", err)
	}
	if have&seals != seals {
		return fmt.Errorf("seals are %#x, not %#x: the kernel dropped some; use Linux 5.1 or newer", have, seals)
	}
	return nil
}

// Fd is the descriptor to send to workers; it stays the ring's.
func (r *Ring) Fd() int { return r.fd }

// Slots is the number of slots.
func (r *Ring) Slots() int { return r.spec.Slots }

// Payload is the writable memory of one slot, PayloadBytes long, outside Go's heap and invalid after Close.
func (r *Ring) Payload(slot int) []byte {
	start := int(r.header.DataOffset) + slot*int(r.header.SlotStride)
	return r.memory[start : start+r.spec.PayloadBytes : start+r.spec.PayloadBytes]
}

// PutSlotHeader writes what a slot holds, for tools that look into a ring.
func (r *Ring) PutSlotHeader(slot int, h *SlotHeader) {
	h.Put(r.memory[SlotHeaderOffset+slot*SlotHeaderStride:])
}

// Add is the message that announces this ring; planes are one BGR picture.
func (r *Ring) Add() RingAdd {
	return RingAdd{
		RingID: r.spec.RingID, SlotCount: r.header.SlotCount, FileSize: r.header.FileSize, DataOffset: r.header.DataOffset,
		SlotStride: r.header.SlotStride, StreamID: r.spec.StreamID, FourCC: FourCCBGR3, Width: uint32(r.spec.Width),
		Height: uint32(r.spec.Height), PlaneCount: 1, Align: Align, StreamName: r.header.StreamName,
	}
}

// Close unmaps the memory and closes the descriptor; workers keep theirs until they unmap. Calling it again does nothing.
func (r *Ring) Close() error {
	var err error
	if r.memory != nil {
		err = unix.Munmap(r.memory)
		r.memory = nil
	}
	if r.fd >= 0 {
		err = errors.Join(err, unix.Close(r.fd))
		r.fd = -1
	}
	return err
}
