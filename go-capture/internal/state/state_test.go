// SPDX-License-Identifier: Apache-2.0

package state

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"visavis/capture/internal/logtest"
	"visavis/capture/internal/waiting"
)

func TestMain(m *testing.M) { waiting.ForGoroutines(m) }

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := Read(path, 100)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAFileIsReplacedAsAWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "file.json")
	if got := read(t, path); got != "" {
		t.Errorf("a file that is not there holds %q", got)
	}
	for _, text := range []string{"first", "second"} {
		if err := Replace(path, []byte(text)); err != nil || read(t, path) != text {
			t.Errorf("%q, %v", read(t, path), err)
		}
	}
	for made, mode := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700} {
		if about, err := os.Stat(made); err != nil || about.Mode().Perm() != mode {
			t.Errorf("%s: %v %v", made, about.Mode(), err)
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left beside it: %v %v", entries, err)
	}
}

func TestAReplacementThatFailsLeavesNothingBeside(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.MkdirAll(filepath.Join(path, "mine"), 0o700); err != nil { // no file replaces it
		t.Fatal(err)
	}
	if Replace(path, []byte("ours")) == nil {
		t.Fatal("a folder was replaced")
	}
	if _, err := os.Lstat(path + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func TestAFileThatIsTooLongIsNotReadInPart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for size, good := range map[int]bool{100: true, 101: false} {
		if err := Replace(path, []byte(strings.Repeat("x", size))); err != nil {
			t.Fatal(err)
		}
		text, err := Read(path, 100)
		if (err == nil) != good || (len(text) == size) != good {
			t.Errorf("%d bytes: %d, %v", size, len(text), err)
		}
	}
}

func TestALinkThatSomebodyPutThereIsNotFollowed(t *testing.T) {
	folder := t.TempDir()
	other, path := filepath.Join(folder, "other"), filepath.Join(folder, "file")
	if err := os.WriteFile(other, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(other, path+".new"); err != nil {
		t.Fatal(err)
	}
	if err := Replace(path, []byte("ours")); err != nil || read(t, path) != "ours" || read(t, other) != "theirs" {
		t.Errorf("%v: %q and %q", err, read(t, path), read(t, other))
	}
}

func TestAFolderIsForOneProgram(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "sub")
	first, err := Lock(folder)
	if err != nil {
		t.Fatal(err)
	}
	if about, err := first.Stat(); err != nil || about.Mode().Perm() != 0o700 {
		t.Errorf("others may look into it: %v, %v", about.Mode(), err)
	}
	if _, err := Lock(folder); !errors.Is(err, ErrInUse) {
		t.Errorf("a second has it too: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Lock(folder)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestAKeeperWritesEachChangeAndTheLastAtTheEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var now atomic.Value
	now.Store("one")
	k := NewKeeper(path, "a file is not kept", "it is kept again", func() ([]byte, error) { return []byte(now.Load().(string)), nil })
	k.Start()
	k.Changed()
	waiting.Until(t, "the first is written", func() bool { return read(t, path) == "one" })
	now.Store("two")
	k.Changed()
	k.Close(time.Minute)
	if got := read(t, path); got != "two" {
		t.Errorf("at the end it holds %q", got)
	}
}

func TestAKeeperThatCannotWriteSaysSoAndTriesAtTheEndOnceMore(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "sub", "file")
	if err := os.WriteFile(filepath.Join(folder, "sub"), nil, 0o600); err != nil { // a file where its folder should be
		t.Fatal(err)
	}
	var log bytes.Buffer
	logtest.Hear(t, slog.NewTextHandler(&log, nil))
	k := NewKeeper(path, "a file is not kept", "it is kept again", func() ([]byte, error) { return []byte("kept"), nil })
	k.Start()
	k.Changed()
	waiting.Until(t, "the fault is told", func() bool { return k.Fault() != "" })
	if err := os.Remove(filepath.Join(folder, "sub")); err != nil {
		t.Fatal(err)
	}
	k.Close(time.Minute)
	if got := read(t, path); got != "kept" {
		t.Errorf("it holds %q", got)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `msg="a file is not kept" file=`+path) || !strings.Contains(lines[1], `msg="it is kept again"`) {
		t.Errorf("the log says\n%s", log.String())
	}
	if !NewKeeper("", "", "", nil).Write() {
		t.Error("a file that nobody keeps fails")
	}
}
