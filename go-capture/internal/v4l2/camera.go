// SPDX-License-Identifier: Apache-2.0

// Package v4l2 reads cameras of the Linux kernel directly: ioctl, mapped buffers and poll, without C.
//
// It knows what a library between hides: the driver's own sequence numbers and times, and the camera's JPEG as it came
// over the wire. The wait for a picture ends at a deadline or with a context, so an unplugged camera is noticed.
// The interface is described at https://docs.kernel.org/userspace-api/media/v4l/v4l2.html.
package v4l2

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/frame"
)

// buffersWanted lets the driver fill two while one is read and one waits.
const buffersWanted = 4

// ErrNoCamera says that a device node belongs to no camera.
var ErrNoCamera = errors.New("this device gives no video: cameras often have several nodes, `v4l2-ctl --list-devices` shows them")

// ErrDamaged says that nothing but pictures has come that the driver marks as damaged, or that are empty.
var ErrDamaged = errors.New("the camera's driver marks its pictures as damaged: try another cable, or a port that no hub shares")

// ErrPart says that a node gives nothing by itself: it ends a pipeline of a sensor, a receiver and a processor of pictures.
var ErrPart = errors.New("this device is one part of a camera on the CSI connector, not a camera: write csi:0 for the first one")

// Shot is one picture as the driver gave it.
type Shot struct {
	Bytes    []byte // in the driver's memory: valid until the next call of Next or Close
	Sequence uint32 // counts the camera's pictures; a gap is a picture that the driver lost
	TakenNs  int64  // CLOCK_MONOTONIC
}

// Camera is an open, streaming camera. One goroutine may use it.
type Camera struct {
	format  Format
	fd      int
	waiter  waiter
	buffers [][]byte
	lent    *buffer // behind the last Shot, nil if none
	clock   driversClock
	closed  bool
}

// Open starts the camera behind a device node with the nearest that it has to the wish.
func Open(path string, wish Wish) (*Camera, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	c := &Camera{fd: fd}
	err = c.start(wish)
	if err == nil {
		c.waiter, err = newWaiter(fd)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), c.unmap(), unix.Close(fd))
	}
	return c, nil
}

// Free fails with EBUSY while another program takes pictures of the camera. To ask for no buffers changes nothing.
func Free(path string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	asked := requestBuffers{kind: kindCapture, memory: memoryMmap}
	return errors.Join(control(fd, askBuffers, &asked), unix.Close(fd))
}

// Format says what the camera was set to.
func (c *Camera) Format() Format { return c.format }

func (c *Camera) start(wish Wish) error {
	part, err := checkCapabilities(c.fd)
	if err == nil {
		err = c.startStream(wish)
	}
	if part && err != nil { // somebody who set up the pipeline with media-ctl gets pictures
		return fmt.Errorf("%w (%w)", ErrPart, err)
	}
	return err
}

func (c *Camera) startStream(wish Wish) error {
	var err error
	if c.format, err = agree(c.fd, wish); err != nil {
		return err
	}
	if err := c.mapBuffers(); err != nil {
		return err
	}
	for index := range c.buffers {
		if err := control(c.fd, queueBuffer, &buffer{index: uint32(index), kind: kindCapture, memory: memoryMmap}); err != nil {
			return err
		}
	}
	kind := uint32(kindCapture)
	return control(c.fd, streamOn, &kind)
}

// checkCapabilities tells, of a node that gives video, whether it is only a part of what does.
func checkCapabilities(fd int) (part bool, err error) {
	var can capability
	if err := control(fd, queryCapability, &can); err != nil {
		return false, errors.Join(ErrNoCamera, err)
	}
	return can.video()
}

func (can capability) video() (part bool, err error) {
	node := can.capabilities
	if node&capDeviceCaps != 0 {
		node = can.deviceCaps
	}
	if node&capCapture == 0 || node&capStreaming == 0 {
		return false, ErrNoCamera
	}
	return node&capPart != 0, nil
}

func (c *Camera) mapBuffers() error {
	asked := requestBuffers{count: buffersWanted, kind: kindCapture, memory: memoryMmap}
	if err := control(c.fd, askBuffers, &asked); err != nil {
		return err
	}
	for index := range asked.count {
		b := buffer{index: index, kind: kindCapture, memory: memoryMmap}
		if err := control(c.fd, queryBuffer, &b); err != nil {
			return err
		}
		memory, err := unix.Mmap(c.fd, int64(uint32(b.offset)), int(b.length), unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return fmt.Errorf("map a buffer of the camera: %w", err)
		}
		c.buffers = append(c.buffers, memory)
	}
	return nil
}

// Next waits for a picture, at most limit, and returns the newest that there is; the Shot before it ends. It fails with ErrDamaged,
// os.ErrDeadlineExceeded, the context's error, or the driver's (ENODEV: unplugged).
func (c *Camera) Next(ctx context.Context, limit time.Duration) (Shot, error) {
	if err := c.waiter.until(ctx, limit, c.takeNewest); err != nil {
		return Shot{}, err
	}
	return c.shot(), nil
}

// takeNewest dequeues all that is ready, gives the older ones back and keeps the last good one; EAGAIN if there is none at all.
func (c *Camera) takeNewest() error {
	if err := c.giveBack(); err != nil {
		return err
	}
	var damage error
	for {
		b := &buffer{kind: kindCapture, memory: memoryMmap}
		err := control(c.fd, dequeueBuffer, b)
		switch {
		case errors.Is(err, unix.EAGAIN) && c.lent != nil:
			return nil
		case errors.Is(err, unix.EAGAIN) && damage != nil:
			return damage
		case err != nil:
			return err
		}
		if b.isDamaged() {
			damage = ErrDamaged
		}
		unwanted := b // the one of before, when this one is good
		if !b.isDamaged() && !c.clock.isOld(b, frame.MonotonicNs()) {
			unwanted, c.lent = c.lent, b
		}
		if err := c.queue(unwanted); err != nil {
			return err
		}
	}
}

func (b *buffer) isDamaged() bool { return b.flags&bufferError != 0 || b.bytesUsed == 0 }

func (c *Camera) giveBack() error {
	b := c.lent
	c.lent = nil
	return c.queue(b)
}

// queue lets the driver fill a buffer; nil is none.
func (c *Camera) queue(b *buffer) error {
	if b == nil {
		return nil
	}
	return control(c.fd, queueBuffer, b)
}

func (c *Camera) shot() Shot {
	memory := c.buffers[c.lent.index]
	used := min(int(c.lent.bytesUsed), len(memory))
	return Shot{Bytes: memory[:used:used], Sequence: c.lent.sequence, TakenNs: c.clock.takenNs(c.lent, frame.MonotonicNs())}
}

// Close stops the camera and frees its buffers; a second call does nothing.
func (c *Camera) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	kind := uint32(kindCapture)
	err := control(c.fd, streamOff, &kind)
	if errors.Is(err, unix.ENODEV) {
		err = nil // unplugged: nothing is left to stop
	}
	return errors.Join(err, c.unmap(), c.waiter.close(), unix.Close(c.fd))
}

func (c *Camera) unmap() error {
	var failed error
	for _, memory := range c.buffers {
		failed = errors.Join(failed, unix.Munmap(memory))
	}
	c.buffers = nil
	return failed
}
