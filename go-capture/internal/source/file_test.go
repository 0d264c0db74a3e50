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

func TestAVideoThatBeginsAnewWaitsForNobody(t *testing.T) {
	opened, picture := openedWith(t, Settings{URI: "file:" + clip(t), FPS: 200, StallLimit: waiting.Most, OpenLimit: time.Second})
	if err := ofFFmpeg.take(t.Context(), waiting.Most, nil); err != nil {
		t.Fatal(err)
	}
	defer ofFFmpeg.give()
	for n := range 30 { // the clip holds 12
		if err := opened.Grab(waiting.Context(t), picture); err != nil {
			t.Fatalf("picture %d: %v", n, err)
		}
	}
}

// Without an index one could go on only from the next key frame.
func TestAVideoWithoutAnIndexBeginsAnewWithItsFirstPicture(t *testing.T) {
	opened, picture := openedWith(t, Settings{URI: "file:" + encoded(t, "clip.ts", "mpeg2video", "-g", "4"), FPS: 200, OpenLimit: waiting.Most, StallLimit: waiting.Most})
	var seen []string
	for n := range 30 {
		if err := opened.Grab(waiting.Context(t), picture); err != nil {
			t.Fatalf("picture %d: %v", n, err)
		}
		if seen = append(seen, string(picture.Pixels)); n >= 12 && seen[n] != seen[n-12] {
			t.Fatalf("picture %d is not that of the first round", n)
		}
	}
}

func TestAnotherVideoInTheFilesPlaceIsPlayedNext(t *testing.T) {
	path, other := clip(t), encoded(t, "clip.avi", "mjpeg", "-vf", "negate")
	opened, picture := openedWith(t, Settings{URI: "file:" + path, FPS: 200, OpenLimit: waiting.Most, StallLimit: waiting.Most})
	if err := errors.Join(opened.Grab(waiting.Context(t), picture), os.Rename(other, path)); err != nil {
		t.Fatal(err)
	}
	first := string(picture.Pixels)
	for n := range 12 {
		if err := opened.Grab(waiting.Context(t), picture); err != nil {
			t.Fatalf("picture %d: %v", n, err)
		}
	}
	if string(picture.Pixels) == first {
		t.Error("the video that is gone is played again")
	}
}

// Its camera delivers: one that is silent for longer has the watchdog end the daemon.
func TestAVideoThatBeginsAnewDoesNotWaitLongForOthers(t *testing.T) {
	opened, picture := openedWith(t, Settings{URI: "file:" + encoded(t, "clip.mjpeg", "mjpeg"), FPS: 200, StallLimit: waiting.Most, OpenLimit: 3 * time.Second})
	if err := ofFFmpeg.take(t.Context(), waiting.Most, nil); err != nil {
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
