// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"visavis/capture/internal/frame"
)

// build is a note of a build that goes on, with the changes of a test.
func build(changes map[string]any) []byte {
	now := frame.MonotonicNs()
	fields := map[string]any{
		"schema": 1, "state": Building, "model": "centerface", "precision": "fp16", "percent": 42, "phase": "Timing layers",
		"began_ns": now - 5*int64(time.Second), "told_ns": now, "error": "",
	}
	for name, value := range changes {
		fields[name] = value
		if value == nil {
			delete(fields, name)
		}
	}
	content, err := json.Marshal(fields)
	if err != nil {
		panic(err) // the tests' own values
	}
	return content
}

// place is a folder with a socket's name in it and the path of its note.
func place(t *testing.T) (socket, path string) {
	t.Helper()
	folder := t.TempDir()
	path = filepath.Join(folder, File)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, "frames.sock"), path
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestABuildIsToldWithItsBeginning(t *testing.T) {
	socket, path := place(t)
	watch := NewWatch(socket)
	if got := watch.State(); got != nil {
		t.Fatalf("without a note it tells %+v", got)
	}
	write(t, path, build(nil))
	got := watch.State()
	if got == nil {
		t.Fatal("a sound note is not told")
	}
	if age := time.Since(got.Since); age < 4*time.Second || age > time.Minute {
		t.Errorf("it began %v ago, want 5 s", age)
	}
	want := State{State: Building, Model: "centerface", Precision: "fp16", Percent: 42, Phase: "Timing layers", Since: got.Since}
	if *got != want {
		t.Errorf("%+v, want %+v", *got, want)
	}
	write(t, path, build(map[string]any{"state": Failed, "error": "no GPU: look at `nvidia-smi`"}))
	if got = watch.State(); got == nil || got.State != Failed || got.Error != "no GPU: look at `nvidia-smi`" {
		t.Errorf("a failure is told as %+v", got)
	}
}

func TestTheBeginningIsTheSameAtEachReadingUntilTheClockIsSet(t *testing.T) {
	socket, path := place(t)
	write(t, path, build(nil))
	watch := NewWatch(socket)
	ahead := time.Duration(0)
	watch.now = func() time.Time { return time.Now().Add(ahead) }
	first := watch.State().Since
	for range 3 {
		ahead += 20 * time.Millisecond
		if again := watch.State().Since; !again.Equal(first) {
			t.Fatalf("it began at %v, then at %v", first, again)
		}
	}
	ahead = 24 * time.Hour
	if again := watch.State().Since; again.Sub(first) < 23*time.Hour {
		t.Errorf("it began at %v by yesterday's clock and at %v by today's", first, again)
	}
}

func TestABuildThatWasKilledIsForgottenAndAFailureIsNot(t *testing.T) {
	now := frame.MonotonicNs()
	old, coming := now-(staleMs+1)*int64(time.Millisecond), now+int64(time.Minute)
	for _, c := range []struct {
		changes map[string]any
		told    bool
	}{
		{map[string]any{"began_ns": 0, "told_ns": old}, false},
		{map[string]any{"began_ns": 0, "told_ns": old, "state": Failed}, true},
		{map[string]any{"told_ns": coming}, false}, // of another start of the machine
		{map[string]any{"began_ns": coming, "state": Failed}, false},
	} {
		socket, path := place(t)
		write(t, path, build(c.changes))
		if got := NewWatch(socket).State(); (got != nil) != c.told {
			t.Errorf("%v is told as %+v", c.changes, got)
		}
	}
}

func TestNothingOfAHostileNoteIsTold(t *testing.T) {
	for name, content := range map[string][]byte{
		"empty":                {},
		"no object":            []byte("[]"),
		"half":                 build(nil)[:40],
		"two":                  append(build(nil), build(nil)...),
		"huge":                 build(map[string]any{"phase": strings.Repeat("x", 1<<20)}),
		"padded":               append(build(nil), []byte(strings.Repeat(" ", mostBytes))...),
		"unknown field":        build(map[string]any{"owner": "me"}),
		"wrong type":           build(map[string]any{"percent": "42"}),
		"fraction":             build(map[string]any{"percent": 42.5}),
		"more than everything": build(map[string]any{"percent": 101}),
		"less than nothing":    build(map[string]any{"percent": -1}),
		"beyond every number":  []byte(strings.Replace(string(build(nil)), ":42,", ":1e400,", 1)),
		"other schema":         build(map[string]any{"schema": 2}),
		"no state":             build(map[string]any{"state": nil}),
		"other state":          build(map[string]any{"state": "ready"}),
		"other precision":      build(map[string]any{"precision": "fp8"}),
		"long model":           build(map[string]any{"model": strings.Repeat("x", 65)}),
		"control characters":   build(map[string]any{"phase": "\x1b[2J"}),
		"line":                 build(map[string]any{"error": "a\nb"}),
	} {
		_, path := place(t)
		write(t, path, content)
		if found, err := read(path); err == nil {
			t.Errorf("%s: %+v is believed", name, found)
		}
	}
}

func TestANoteThatIsNoPlainFileIsNotRead(t *testing.T) {
	sound := filepath.Join(t.TempDir(), "sound.json")
	write(t, sound, build(nil))
	for name, make := range map[string]func(path string) error{
		"a link":   func(path string) error { return os.Symlink(sound, path) },
		"a pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a stream": func(path string) error { return endless(t, path) },
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		socket, path := place(t)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		if got := NewWatch(socket).State(); got != nil {
			t.Errorf("%s is told as %+v", name, got)
		}
	}
}

// endless is a pipe that holds a sound note and whose writer never ends.
func endless(t *testing.T, path string) error {
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return err
	}
	writer, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	t.Cleanup(func() { _ = writer.Close() })
	_, err = writer.Write(build(nil))
	return err
}

func FuzzDecode(f *testing.F) {
	f.Add(build(nil))
	f.Add(build(map[string]any{"state": Failed, "error": "why"}))
	f.Add([]byte(`{"schema":1,"schema":2}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		found, err := decode(content)
		if (found == nil) != (err != nil) {
			t.Fatalf("%+v with %v", found, err)
		}
		if err == nil && found.check() != nil {
			t.Fatalf("%+v is believed", found)
		}
		if err == nil && len(fmt.Sprint(found)) > mostBytes {
			t.Fatalf("%d bytes are told", len(fmt.Sprint(found)))
		}
	})
}
