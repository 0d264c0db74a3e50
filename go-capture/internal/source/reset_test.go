// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"visavis/capture/internal/usbreset"
	"visavis/capture/internal/v4l2"
	"visavis/capture/internal/waiting"
)

func TestWhichCamerasHang(t *testing.T) {
	for err, hangs := range map[error]bool{
		nil:                              false,
		fmt.Errorf("open: %w", errHangs): true,
		errors.Join(ErrStalled, errors.New("damaged JPEG")):                   true,
		fmt.Errorf("open: %w", errNotOpened):                                  true,
		fmt.Errorf("VIDIOC_S_FMT: %w", syscall.EIO):                           true,
		fmt.Errorf("VIDIOC_STREAMON: %w", syscall.ETIMEDOUT):                  true,
		withRemedy("v4l2:bad", fmt.Errorf("VIDIOC_S_FMT: %w", syscall.EBUSY)): false,
		withRemedy("v4l2:bad", fs.ErrPermission):                              false,
		withRemedy("v4l2:bad", fs.ErrNotExist):                                false,
		fmt.Errorf("VIDIOC_STREAMON: %w", syscall.ENOSPC):                     false, // too many cameras for the bus
		fmt.Errorf("VIDIOC_DQBUF: %w", syscall.ENODEV):                        false, // pulled out
		v4l2.ErrNoFormat: false,
		v4l2.ErrNoCamera: false,
		ErrEnded:         false,
	} {
		if Hangs(err) != hangs {
			t.Errorf("%v: %v", err, !hangs)
		}
	}
}

func TestACameraThatOurOwnCallsKeepBusyHangs(t *testing.T) {
	node := filepath.Join(t.TempDir(), "video0") // is there, and OpenCV cannot open it
	if err := os.WriteFile(node, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	camera := "v4l2:" + node
	busy := map[string]func() error{
		"direct": func() error { return withRemedy(camera, fmt.Errorf("VIDIOC_S_FMT: %w", syscall.EBUSY)) },
		"opencv": func() error {
			_, err := Open(t.Context(), Settings{URI: camera, Reader: "opencv", OpenLimit: waiting.Most})
			return err
		},
	}
	for reader, open := range busy {
		hanging.add(camera, 1)
		if err := open(); !Hangs(err) || strings.Contains(err.Error(), "in use") || strings.Contains(err.Error(), "another program") {
			t.Errorf("%s, while a call of ours hangs: %v", reader, err)
		}
		hanging.add(camera, -1)
		if err := open(); err == nil || Hangs(err) {
			t.Errorf("%s, when it is over: %v", reader, err)
		}
	}
}

// bus is a USB bus with one camera on it, that counts its resets.
type bus struct {
	used   error
	beside []string // nodes in the same housing, which are used
	answer error
	resets int
}

func (b *bus) usb() usb {
	return usb{
		find:    func(string) (usbreset.Device, error) { return usbreset.Device{Port: "1-2"}, nil },
		cameras: func(usbreset.Device) []string { return b.beside },
		free: func(node string) error {
			if slices.Contains(b.beside, node) {
				return syscall.EBUSY
			}
			return b.used
		},
		reset: func(usbreset.Device) error { b.resets++; return b.answer },
	}
}

func TestACameraIsResetUnlessAnotherProgramHasIt(t *testing.T) {
	for name, c := range map[string]struct {
		bus    bus
		resets int
		want   error
	}{
		"free":               {bus{}, 1, nil},
		"used":               {bus{used: fmt.Errorf("VIDIOC_REQBUFS: %w", syscall.EBUSY)}, 0, syscall.EBUSY},
		"one beside is used": {bus{beside: []string{"/dev/null"}}, 0, syscall.EBUSY},
		"too ill to tell":    {bus{used: syscall.EIO}, 1, nil},
		"a right is missing": {bus{answer: syscall.EACCES}, 1, syscall.EACCES},
	} {
		port, err := c.bus.usb().resetBehind(t.Context(), "v4l2:/dev/zero")
		if port != "1-2" || !errors.Is(err, c.want) || (c.want == nil) != (err == nil) || c.bus.resets != c.resets {
			t.Errorf("%s: port %q, %v, %d resets", name, port, err, c.bus.resets)
		}
	}
}

func TestACameraWithCallsOfOurOwnThatHangIsNotTakenForAnothersUse(t *testing.T) {
	hanging.add("v4l2:bad", 1)
	defer hanging.add("v4l2:bad", -1)
	b := bus{used: syscall.EBUSY}
	if _, err := b.usb().resetBehind(t.Context(), "v4l2:bad"); err != nil || b.resets != 1 {
		t.Errorf("%v, %d resets", err, b.resets)
	}
	hanging.add("v4l2:/dev/null", 1)
	defer hanging.add("v4l2:/dev/null", -1)
	b.beside = []string{"/dev/./null"} // the same one, by the kernel's name
	if _, err := b.usb().resetBehind(t.Context(), "v4l2:/dev/null"); err != nil || b.resets != 2 {
		t.Errorf("by another name: %v, %d resets", err, b.resets)
	}
}

func TestAResetThatHangsIsLeftBehindAndNotForEverRepeated(t *testing.T) {
	free, ended := make(chan struct{}), make(chan struct{}, hangingMost)
	u := (&bus{}).usb()
	u.reset = func(usbreset.Device) error { <-free; ended <- struct{}{}; return nil }
	ctx, end := context.WithCancel(t.Context())
	end()
	for range hangingMost {
		if _, err := u.resetBehind(ctx, "v4l2:worse"); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if _, err := u.resetBehind(t.Context(), "v4l2:worse"); !errors.Is(err, errHangs) {
		t.Errorf("one more: %v", err)
	}
	if err := mayHang("v4l2:worse"); err != nil {
		t.Errorf("the camera itself is not tried any more: %v", err)
	}
	close(free)
	for range hangingMost {
		<-ended
	}
	waiting.Until(t, "none counts as hanging any more", func() bool { return hanging.count("reset v4l2:worse") == 0 })
}

func TestWhatIsNoUSBCameraHasNothingToReset(t *testing.T) {
	for _, uri := range []string{"demo:", "rtsp://camera/1", "csi:0", "v4l2:/no/such/camera", "v4l2:/dev/null"} {
		if _, err := ResetUSB(t.Context(), uri); !errors.Is(err, usbreset.ErrNoCamera) {
			t.Errorf("%s: %v", uri, err)
		}
	}
}
