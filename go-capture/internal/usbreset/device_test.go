// SPDX-License-Identifier: Apache-2.0

package usbreset

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// sysfs makes a tree as the kernel shows it: files with their text, links with "-> " and where they point to.
func sysfs(t *testing.T, entries map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range entries {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		target, link := strings.CutPrefix(text, "-> ")
		make := func() error { return os.WriteFile(path, []byte(text), 0o600) }
		if link {
			make = func() error { return os.Symlink(target, path) }
		}
		if err := make(); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const (
	hub    = "devices/pci0000:00/0000:00:14.0/usb1"
	webcam = hub + "/1-2"
	chip   = "devices/platform/vivid.0"
)

// machine has a webcam with a microphone at a hub, a camera that is no USB device, and a USB device whose class is its maker's.
func machine(t *testing.T) string {
	t.Helper()
	return sysfs(t, map[string]string{
		"dev/char/81:0": "-> ../../" + webcam + "/1-2:1.0/video4linux/video0",
		"dev/char/81:2": "-> ../../" + chip + "/video4linux/video2",
		"dev/char/81:3": "-> ../../" + hub + "/1-3/1-3:1.0/video4linux/video3",
		"dev/char/81:4": "-> ../../" + webcam + "/video4linux/video4",

		hub + "/busnum": "1\n", hub + "/devnum": "1\n", hub + "/bDeviceClass": "09\n",
		webcam + "/busnum": "1\n", webcam + "/devnum": "12\n",
		webcam + "/1-2:1.0/bInterfaceClass":            "0e\n",
		webcam + "/1-2:1.2/bInterfaceClass":            "01\n",
		webcam + "/1-2:1.0/video4linux/video0/device":  "-> ../../../1-2:1.0",
		webcam + "/1-2:1.4/video4linux/video5/device":  "-> ../../../1-2:1.4",
		webcam + "/video4linux/video4/device":          "-> ../../../1-2",
		hub + "/1-3/busnum":                            "1\n",
		hub + "/1-3/devnum":                            "7\n",
		hub + "/1-3/1-3:1.0/bInterfaceClass":           "ff\n",
		hub + "/1-3/1-3:1.0/video4linux/video3/device": "-> ../../../1-3:1.0",
		chip + "/uevent":                               "\n",
		chip + "/video4linux/video2/device":            "-> ../../../vivid.0",
	})
}

func TestAllCamerasInOneHousingAreFound(t *testing.T) {
	device, err := find(machine(t), "81:0")
	if got := device.Cameras(); err != nil || !slices.Equal(got, []string{"/dev/video0", "/dev/video5"}) {
		t.Errorf("%q, %v", got, err)
	}
	if got := (Device{}).Cameras(); got != nil {
		t.Errorf("nowhere: %q", got)
	}
	if SameCamera("/dev/null", "/dev/zero") || SameCamera("/dev/null", "/dev/away") || !SameCamera("/dev/null", "/dev/./null") {
		t.Error("nodes are mistaken for each other")
	}
}

func TestTheUSBDeviceOfACameraIsFound(t *testing.T) {
	root := machine(t)
	device, err := find(root, "81:0")
	if want := (Device{Port: "1-2", node: "/dev/bus/usb/001/012", folder: filepath.Join(root, webcam)}); err != nil || device != want {
		t.Errorf("%+v, %v, want %+v", device, err, want)
	}
}

func TestWhatIsNoUSBCameraIsNotReset(t *testing.T) {
	sys := machine(t)
	for number, what := range map[string]string{
		"81:1": "a node that the kernel does not know", "81:2": "a camera without USB", "81:3": "a device of another class",
		"81:4": "a node whose device is the whole, above which is the hub",
	} {
		if device, err := find(sys, number); !errors.Is(err, ErrNoCamera) {
			t.Errorf("%s: %+v, %v", what, device, err)
		}
	}
	for _, path := range []string{"/no/such/camera", "/dev/null"} {
		if device, err := Of(path); !errors.Is(err, ErrNoCamera) {
			t.Errorf("%s: %+v, %v", path, device, err)
		}
	}
}

func TestWhatTheKernelRefusesIsSaid(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "004")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (Device{node: file}).Reset(); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("a file that is no device: %v", err)
	}
	if err := (Device{node: folder + "/005"}).Reset(); err == nil || !strings.Contains(err.Error(), "a container must be given /dev/bus/usb") {
		t.Errorf("no node: %v", err)
	}
}

func TestADeviceThatComesBackAsAnotherWasReset(t *testing.T) {
	for errno, reset := range map[unix.Errno]bool{0: true, unix.ENODEV: true, unix.EIO: false, unix.EPERM: false} {
		if err := outcome("/dev/bus/usb/001/004", errno); (err == nil) != reset {
			t.Errorf("%d: %v", errno, err)
		}
	}
}

func TestAMissingRightIsNamed(t *testing.T) {
	for errno, words := range map[unix.Errno]string{unix.EACCES: "70-visavis.rules", unix.EPERM: "DeviceAllow=char-usb_device w"} {
		err := withRemedy(&os.PathError{Op: "open", Path: "/dev/bus/usb/001/004", Err: errno})
		if !strings.Contains(err.Error(), words) || !errors.Is(err, errno) {
			t.Errorf("%d: %v", errno, err)
		}
	}
}
