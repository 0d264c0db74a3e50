// SPDX-License-Identifier: Apache-2.0

// Package usbreset does to a USB camera what a hand does that pulls its plug and puts it in again: cheap ones sometimes give nothing
// any more until somebody does. Device is how, Watch is when.
package usbreset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoCamera says that a device node belongs to no USB camera.
var ErrNoCamera = errors.New("no camera of the USB Video Class")

const (
	videoClass  = "0e"           // bInterfaceClass of cameras
	resetDevice = 'U'<<8 | 20    // USBDEVFS_RESET of <linux/usbdevice_fs.h>
	usbNodes    = "/dev/bus/usb" // one folder for each bus
)

// Device is the USB device of a camera, with all that is in the same housing.
type Device struct {
	Port   string // where it is plugged in, as the kernel's log has it: 1-2.4
	node   string
	folder string // in sysfs
}

// Of finds the USB device behind a camera's device node, by the node's number: its name may be another one in a container.
func Of(path string) (Device, error) {
	var node unix.Stat_t
	if err := unix.Stat(path, &node); err != nil {
		return Device{}, errors.Join(ErrNoCamera, &os.PathError{Op: "stat", Path: path, Err: err})
	}
	return find("/sys", fmt.Sprintf("%d:%d", unix.Major(node.Rdev), unix.Minor(node.Rdev)))
}

// find looks no further up than from the camera's interface to its device: above that is the hub, with what belongs to others.
func find(sys, number string) (Device, error) {
	part, err := filepath.EvalSymlinks(filepath.Join(sys, "dev/char", number, "device"))
	if err != nil {
		return Device{}, errors.Join(ErrNoCamera, err)
	}
	whole := filepath.Dir(part)
	class, err1 := attribute(part, "bInterfaceClass")
	bus, err2 := count(whole, "busnum")
	device, err3 := count(whole, "devnum")
	if err := errors.Join(err1, err2, err3); err != nil || class != videoClass {
		return Device{}, errors.Join(ErrNoCamera, err)
	}
	return Device{Port: filepath.Base(whole), node: fmt.Sprintf("%s/%03d/%03d", usbNodes, bus, device), folder: whole}, nil
}

// Cameras are the device nodes of all cameras in the housing: a reset takes away every one of them.
func (d Device) Cameras() (nodes []string) {
	found, err := filepath.Glob(filepath.Join(d.folder, "*/video4linux/video*"))
	if err != nil || d.folder == "" {
		return nil // the pattern is right, so there are none
	}
	for _, one := range found {
		nodes = append(nodes, "/dev/"+filepath.Base(one))
	}
	return nodes
}

// SameCamera tells whether two device nodes are one, by whatever names.
func SameCamera(a, b string) bool {
	var of [2]unix.Stat_t
	return unix.Stat(a, &of[0]) == nil && unix.Stat(b, &of[1]) == nil && of[0].Rdev == of[1].Rdev
}

func attribute(folder, name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(folder, name))
	return strings.TrimSpace(string(text)), err
}

func count(folder, name string) (int, error) {
	text, err := attribute(folder, name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// Reset returns when the kernel has given the device its address and its drivers anew; the camera's node goes and comes back meanwhile.
// A device that does not answer keeps the kernel busy for a while.
func (d Device) Reset() error {
	fd, err := unix.Open(d.node, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return withRemedy(&os.PathError{Op: "open", Path: d.node, Err: err})
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), resetDevice, 0)
	return errors.Join(outcome(d.node, errno), unix.Close(fd))
}

// outcome takes ENODEV for success: the device came back as another than it was, so the kernel takes it for newly plugged in.
func outcome(node string, errno unix.Errno) error {
	if errno == 0 || errno == unix.ENODEV {
		return nil
	}
	return fmt.Errorf("USBDEVFS_RESET of %s: %w", node, errno)
}

// withRemedy says which right is missing.
func withRemedy(err error) error {
	switch {
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%w: the udev rule for USB cameras in 70-visavis.rules is missing, or older than the camera's plugging in", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: the unit lacks DeviceAllow=char-usb_device w", err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: a container must be given %s", err, usbNodes)
	default:
		return err
	}
}
