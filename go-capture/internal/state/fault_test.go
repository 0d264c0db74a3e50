// SPDX-License-Identifier: Apache-2.0

package state

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"visavis/capture/internal/logtest"
)

func TestAFaultIsSaidWhenItBeginsAndWhenItEnds(t *testing.T) {
	var log bytes.Buffer
	logtest.Hear(t, slog.NewTextHandler(&log, nil))

	fault := NewFault(slog.String("folder", "/somewhere"), "nothing is kept", "kept again")
	for _, err := range []error{nil, errors.New("full"), errors.New("full"), errors.New("read-only"), nil, nil} {
		fault.Note(err)
		if want := err != nil; (fault.Now() != "") != want {
			t.Errorf("after %v it is %q", err, fault.Now())
		}
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `msg="nothing is kept" folder=/somewhere error=full`) ||
		!strings.Contains(lines[1], `msg="kept again" folder=/somewhere`) {
		t.Errorf("the log says\n%s", log.String())
	}
}

func TestAFaultSaysWhatHelpsAndIsSaidAgainWhenSomethingElseDoes(t *testing.T) {
	var log bytes.Buffer
	logtest.Hear(t, slog.NewTextHandler(&log, nil))
	fault := NewFault(slog.String("folder", "/somewhere"), "nothing is kept", "kept again")
	for _, c := range []struct {
		err    error
		remedy string
	}{
		{&fs.PathError{Op: "write", Path: "1", Err: syscall.ENOSPC}, "1: no space left on device: make space or inodes (df -h, df -i)"},
		{&fs.PathError{Op: "write", Path: "2", Err: syscall.EDQUOT}, "2: disk quota exceeded: make space or inodes (df -h, df -i)"},
		{errors.Join(syscall.ENOENT, syscall.EROFS), "no such file or directory; read-only file system: find out why the disk went read-only"},
		{errors.New("damaged"), "nothing is kept: damaged"},
	} {
		fault.Note(c.err)
		if now := fault.Now(); !strings.Contains(now, c.remedy) {
			t.Errorf("%q, want %q in it", now, c.remedy)
		}
	}
	if lines := strings.Split(strings.TrimSpace(log.String()), "\n"); len(lines) != 3 {
		t.Errorf("the log says\n%s", log.String())
	}
}

func TestWhoAsksWhatIsWrongDoesNotWaitForALogThatHangs(t *testing.T) {
	reached, goOn := logtest.Hang(t)
	fault, noted := NewFault(slog.String("folder", "/somewhere"), "nothing is kept", "kept again"), make(chan struct{})
	go func() {
		defer close(noted)
		fault.Note(syscall.EIO)
	}()
	<-reached
	if !strings.Contains(fault.Now(), "may be failing") {
		t.Errorf("it is %q", fault.Now())
	}
	goOn()
	<-noted
}
