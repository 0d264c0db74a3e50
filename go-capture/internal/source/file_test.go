// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/waiting"
)

// silentShare is a folder in which every look hangs until the test ends: a file system whose server takes no request.
func silentShare(t *testing.T) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root can mount a file system without a server")
	}
	server, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("there is no FUSE here: %v", err)
	}
	folder := t.TempDir()
	if err := unix.Mount("silent", folder, "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", server.Fd())); err != nil {
		_ = server.Close()
		t.Skipf("FUSE cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), unix.Unmount(folder, unix.MNT_DETACH)); err != nil {
			t.Error(err)
		}
	})
	return folder
}

func TestAFileOnASilentShareKeepsNobodyWaiting(t *testing.T) {
	path := filepath.Join(silentShare(t), "film.mp4")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() {
		_, err := Open(ctx, Settings{URI: "file:" + path, FPS: 30, StallLimit: time.Hour}) // as of a camera that gives few pictures
		ended <- err
	}()
	stop() // as a reload does
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
	if n := hanging.count("file:" + path); n != 1 {
		t.Errorf("%d calls hang", n)
	}
	openedWith(t, Settings{URI: "file:" + clip(t), FPS: 30, OpenLimit: waiting.Most}) // while the other one hangs
}

// Its camera delivers: one that is silent for longer has the watchdog end the daemon.
func TestAVideoThatBeginsAnewDoesNotWaitLongForOthers(t *testing.T) {
	opened, picture := openedWith(t, Settings{URI: "file:" + clip(t), FPS: 200, StallLimit: waiting.Most, OpenLimit: 3 * time.Second})
	if err := ofFFmpeg.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer ofFFmpeg.give()
	for {
		if err := opened.Grab(waiting.Context(t), picture); err != nil {
			if !errors.Is(err, errNoTurn) || !errors.Is(err, errNotOpened) || strings.Contains(err.Error(), "network share") {
				t.Error(err)
			}
			return
		}
	}
}
