// SPDX-License-Identifier: Apache-2.0

package v4l2

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The structures below are those of <linux/videodev2.h> on 64-bit systems; the compiler checks their sizes. Fields that
// nothing here reads stand as padding.

type capability struct {
	_            [84]byte // driver, card, bus, version
	capabilities uint32
	deviceCaps   uint32
	_            [3]uint32
}

type formatDescription struct {
	index       uint32
	kind        uint32
	_           [36]byte // flags, description
	pixelFormat FourCC
	_           [4]uint32
}

type format struct {
	kind         uint32
	_            uint32
	width        uint32
	height       uint32
	pixelFormat  FourCC
	field        uint32
	bytesPerLine uint32
	sizeImage    uint32
	_            [176]byte
}

type streamParameters struct {
	kind        uint32
	_           [2]uint32 // capability, mode
	numerator   uint32    // seconds of one frame: numerator / denominator
	denominator uint32
	_           [184]byte
}

type requestBuffers struct {
	count  uint32
	kind   uint32
	memory uint32
	_      [2]uint32
}

type buffer struct {
	index     uint32
	kind      uint32
	bytesUsed uint32
	flags     uint32
	_         uint32 // field
	timestamp unix.Timeval
	_         [16]byte // timecode
	sequence  uint32
	memory    uint32
	offset    uint64 // of the mapping
	length    uint32
	_         [3]uint32
}

var (
	_ [104]byte = [unsafe.Sizeof(capability{})]byte{}
	_ [64]byte  = [unsafe.Sizeof(formatDescription{})]byte{}
	_ [208]byte = [unsafe.Sizeof(format{})]byte{}
	_ [204]byte = [unsafe.Sizeof(streamParameters{})]byte{}
	_ [20]byte  = [unsafe.Sizeof(requestBuffers{})]byte{}
	_ [88]byte  = [unsafe.Sizeof(buffer{})]byte{}
)

const (
	kindCapture = 1 // V4L2_BUF_TYPE_VIDEO_CAPTURE
	memoryMmap  = 1 // V4L2_MEMORY_MMAP
	fieldNone   = 1 // V4L2_FIELD_NONE: whole pictures, not interlaced ones

	capCapture    = 0x0000_0001 // V4L2_CAP_VIDEO_CAPTURE
	capPart       = 0x2000_0000 // V4L2_CAP_IO_MC: what it gives is set up by the media controller
	capStreaming  = 0x0400_0000 // V4L2_CAP_STREAMING
	capDeviceCaps = 0x8000_0000 // V4L2_CAP_DEVICE_CAPS: deviceCaps holds what this node can do

	bufferError     = 0x0000_0040 // V4L2_BUF_FLAG_ERROR: the picture may be damaged
	timestampMask   = 0x0000_e000 // V4L2_BUF_FLAG_TIMESTAMP_MASK
	timestampSteady = 0x0000_2000 // V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC
)

// request is the number of an ioctl, with the name that strace shows.
type request struct {
	name   string
	number uintptr
}

const (
	write = 1 // _IOC_WRITE: the kernel reads the argument
	read  = 2 // _IOC_READ: the kernel fills it
)

// number packs an ioctl of V4L2 as <asm-generic/ioctl.h> does.
func number(direction, nr, size uintptr) uintptr { return direction<<30 | size<<16 | 'V'<<8 | nr }

var (
	queryCapability = request{"VIDIOC_QUERYCAP", number(read, 0, unsafe.Sizeof(capability{}))}
	enumFormat      = request{"VIDIOC_ENUM_FMT", number(read|write, 2, unsafe.Sizeof(formatDescription{}))}
	setFormat       = request{"VIDIOC_S_FMT", number(read|write, 5, unsafe.Sizeof(format{}))}
	askBuffers      = request{"VIDIOC_REQBUFS", number(read|write, 8, unsafe.Sizeof(requestBuffers{}))}
	queryBuffer     = request{"VIDIOC_QUERYBUF", number(read|write, 9, unsafe.Sizeof(buffer{}))}
	queueBuffer     = request{"VIDIOC_QBUF", number(read|write, 15, unsafe.Sizeof(buffer{}))}
	dequeueBuffer   = request{"VIDIOC_DQBUF", number(read|write, 17, unsafe.Sizeof(buffer{}))}
	streamOn        = request{"VIDIOC_STREAMON", number(write, 18, unsafe.Sizeof(uint32(0)))}
	streamOff       = request{"VIDIOC_STREAMOFF", number(write, 19, unsafe.Sizeof(uint32(0)))}
	setParameters   = request{"VIDIOC_S_PARM", number(read|write, 22, unsafe.Sizeof(streamParameters{}))}
)

// control runs one ioctl; argument points to the structure that belongs to it.
func control[T any](fd int, r request, argument *T) error {
	for {
		_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), r.number, uintptr(unsafe.Pointer(argument)))
		switch errno {
		case 0:
			return nil
		case unix.EINTR:
		default:
			return fmt.Errorf("%s: %w", r.name, errno)
		}
	}
}
