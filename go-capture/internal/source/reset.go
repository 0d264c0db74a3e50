// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"time"

	"visavis/capture/internal/usbreset"
	"visavis/capture/internal/v4l2"
)

// resetLimit is longer than the kernel needs for a device that answers. One that does not may keep it busy for ever.
const resetLimit = 20 * time.Second

var errNotReset = errors.New("the kernel is not done with it in time")

// signsOfHanging are how a try ends at a camera that is there and hangs; the kernel's are those of USB transfers that fail.
var signsOfHanging = []error{
	ErrStalled, errNotOpened, errHangs, syscall.EIO, syscall.EPIPE, syscall.EPROTO, syscall.EILSEQ, syscall.ETIMEDOUT,
}

// Hangs tells whether a camera that is there gave nothing. One that is away, that another program uses or that we may not open does not
// hang.
func Hangs(err error) bool {
	return slices.ContainsFunc(signsOfHanging, func(sign error) bool { return errors.Is(err, sign) })
}

// usb is how USB devices are found and reset.
type usb struct {
	find    func(node string) (usbreset.Device, error)
	cameras func(usbreset.Device) []string // nodes of all in the same housing
	free    func(node string) error        // EBUSY: somebody has the camera
	reset   func(usbreset.Device) error
}

// ResetUSB resets the USB device of a camera and tells the port that it is plugged into. It fails with usbreset.ErrNoCamera where there
// is none, and with EBUSY while another program has the camera. The camera must be closed.
func ResetUSB(ctx context.Context, uri string) (port string, err error) {
	return usb{usbreset.Of, usbreset.Device.Cameras, v4l2.Free, usbreset.Device.Reset}.resetBehind(ctx, uri)
}

func (u usb) resetBehind(ctx context.Context, uri string) (port string, err error) {
	path, hasNode := nodeOf(uri)
	if !hasNode {
		return "", usbreset.ErrNoCamera
	}
	device, err := u.find(path)
	if err != nil {
		return "", err
	}
	resets := "reset " + uri // counted apart: to end calls that hang is what it is for
	if err := mayHang(resets); err != nil {
		return device.Port, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, resetLimit, errNotReset)
	defer cancel()
	done, err := within(ctx, resets, func() error { return u.resetIfFree(uri, path, device) }, func(error) {})
	return device.Port, errors.Join(done, err)
}

// resetIfFree asks OpenCV's cameras too whether another program has them: OpenCV itself does not tell. While calls of our own hang
// the camera is ours, and would look as if it were not. Whoever has another camera of the same housing would lose that as well.
func (u usb) resetIfFree(uri, path string, device usbreset.Device) error {
	nodes := slices.DeleteFunc(u.cameras(device), func(node string) bool { return usbreset.SameCamera(node, path) })
	if hanging.count(uri) == 0 {
		nodes = append(nodes, path)
	}
	for _, node := range nodes {
		if err := u.free(node); errors.Is(err, syscall.EBUSY) {
			return err
		}
	}
	return u.reset(device)
}

// nodeOf is the path of a camera's device node.
func nodeOf(uri string) (path string, hasNode bool) { return strings.CutPrefix(uri, "v4l2:") }
