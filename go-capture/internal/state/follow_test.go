// SPDX-License-Identifier: Apache-2.0

package state

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// kept makes a folder of state with these files in it.
func kept(t *testing.T, files ...string) (folder string) {
	t.Helper()
	folder = t.TempDir()
	for _, name := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func filesIn(t *testing.T, folder string) (files []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(folder), ".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !slices.Contains([]string{namesFile, leftFile, besideFile}, path) {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func follow(t *testing.T, folder, configuration, device string) {
	t.Helper()
	if err := Follow(folder, configuration, device); err != nil {
		t.Fatal(err)
	}
}

func TestWhatADeviceKeepsFollowsItToAnotherName(t *testing.T) {
	folder := kept(t, "history/porch/1.events", "thumbnails/porch/1.jpg", "outbox/porch/1", "outbox/porch.2.frigate/1", "orders/porch.json",
		"sessions/porch.json", "sessions/porch.friends.json", "certificates/porch.pem", "history/porch-2/1.events", "credentials.toml")
	follow(t, folder, "/etc/a.toml", "porch")
	follow(t, folder, "/etc/a.toml", "yard")
	want := []string{"certificates/yard.pem", "credentials.toml", "history/porch-2/1.events", "history/yard/1.events", "orders/yard.json",
		"outbox/yard/1", "outbox/yard.2.frigate/1", "sessions/yard.json", "sessions/yard.friends.json", "thumbnails/yard/1.jpg"}
	files := filesIn(t, folder)
	slices.Sort(files)
	slices.Sort(want)
	if !slices.Equal(files, want) {
		t.Errorf("%q, want %q", files, want)
	}
}

func TestWhatBelongsToOthersStays(t *testing.T) {
	folder := kept(t, "history/porch/1", "history/hall/1", "history/yard/2", "orders/hall.json")
	follow(t, folder, "/etc/a.toml", "porch")
	follow(t, folder, "/etc/b.toml", "hall")
	before := filesIn(t, folder)
	running, err := Lock(filepath.Join(folder, "history", "porch"))
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	for configuration, device := range map[string]string{"/etc/a.toml": "cellar", "/etc/c.toml": "attic"} {
		follow(t, folder, configuration, device)
	}
	if after := filesIn(t, folder); !slices.Equal(before, after) {
		t.Errorf("%q, want %q", after, before)
	}
	follow(t, folder, "/etc/b.toml", "yard") // it has a history already
	before[slices.Index(before, "orders/hall.json")] = "orders/yard.json"
	if after := filesIn(t, folder); !slices.Equal(before, after) {
		t.Errorf("%q, want %q", after, before)
	}
}

// Also where there is a history under the new name, with which nothing is mixed.
func TestFacesThatSomebodyOrderedToHideStayHiddenUnderAnotherName(t *testing.T) {
	for has, want := range map[string]string{"history/yard/1": "orders/hall.json", "orders/yard.json": "orders/yard.json"} {
		folder := kept(t, "history/hall/1", "orders/hall.json", "history/yard/2", has)
		follow(t, folder, "/etc/b.toml", "hall")
		follow(t, folder, "/etc/b.toml", "yard")
		if text, err := os.ReadFile(filepath.Join(folder, "orders", "yard.json")); string(text) != want {
			t.Errorf("with %s, the orders are those of %q, %v; want %q", has, text, err, want)
		}
	}
}

func TestWhatADaemonUsedFollowsAtAStartAfterItsEnd(t *testing.T) {
	folder := kept(t, "history/porch/1", "thumbnails/porch/1")
	follow(t, folder, "/etc/a.toml", "porch")
	running, err := Lock(filepath.Join(folder, "history", "porch"))
	if err != nil {
		t.Fatal(err)
	}
	follow(t, folder, "/etc/a.toml", "yard") // beside it, by hand, with the new name
	for _, empty := range []string{"history/yard", "thumbnails/yard"} {
		if err := os.MkdirAll(filepath.Join(folder, empty), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if after, want := filesIn(t, folder), []string{"history/porch/1", "thumbnails/porch/1"}; !slices.Equal(after, want) {
		t.Errorf("while it runs %q, want %q", after, want)
	}
	running.Close()
	noteBeside(t, folder, "/etc/a.toml", "yard") // it has run for a while
	follow(t, folder, "/etc/a.toml", "yard")
	if after, want := filesIn(t, folder), []string{"history/yard/1", "thumbnails/yard/1"}; !slices.Equal(after, want) {
		t.Errorf("%q, want %q", after, want)
	}
}

func TestOnlyDevicesWhoseThingsCouldNotFollowAreLeftBehind(t *testing.T) {
	folder := kept(t, "history/porch/1", "history/yard/1", "history/env/1", "history/hall/1", "history/notes.txt")
	follow(t, folder, "/nowhere/hall.toml", "hall")
	follow(t, folder, "/etc/a.toml", "porch")
	follow(t, folder, "/etc/a.toml", "yard") // which has a history already
	if left := LeftBehind(folder, "history", "yard"); !slices.Equal(left, []string{"porch"}) {
		t.Errorf("%q", left)
	}
	if left := LeftBehind(folder, "thumbnails", "yard"); len(left) > 0 {
		t.Errorf("of what nobody keeps: %q", left)
	}
	for n := range configurationsMost {
		follow(t, folder, fmt.Sprintf("/tmp/%d/config.toml", n), "box")
	}
	if left := LeftBehind(folder, "history", "box"); !slices.Equal(left, []string{"porch"}) {
		t.Errorf("after many starts of nameless configurations: %q", left)
	}
	follow(t, folder, "/etc/b.toml", "porch")
	if left := LeftBehind(folder, "history", "yard"); len(left) > 0 {
		t.Errorf("somebody goes by the name again: %q", left)
	}
}

// hold is a daemon that runs under this name.
func hold(t *testing.T, folder, device string) (end func()) {
	t.Helper()
	held, err := Lock(filepath.Join(folder, "history", device))
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = held.Close() }
}

func TestADeviceThatRunsIsNotLeftBehind(t *testing.T) {
	folder := kept(t, "history/porch/1", "history/yard/1")
	follow(t, folder, "/etc/a.toml", "porch")
	defer hold(t, folder, "porch")()
	follow(t, folder, "/etc/a.toml", "yard")
	if left := LeftBehind(folder, "history", "yard"); len(left) > 0 || exists(filepath.Join(folder, leftFile)) {
		t.Errorf("%q", left)
	}
}

// TestDevicesOfOneConfigurationStayApart is that of two containers, whose environments name them.
func TestDevicesOfOneConfigurationStayApart(t *testing.T) {
	for _, file := range []string{"history/yard/1", "orders/hall.json"} { // yard has told of something, or of nothing yet
		folder := kept(t, "history/porch/1", "thumbnails/porch/1", "topics/porch.json", "topics/yard.json", file)
		start := func(device string) (end func()) {
			follow(t, folder, "/etc/a.toml", device)
			end = hold(t, folder, device)
			noteBeside(t, folder, "/etc/a.toml", device)
			return end
		}
		porch := start("porch")
		start("yard")()
		porch()
		before := filesIn(t, folder)
		for _, device := range []string{"yard", "porch", "yard"} { // one at a time
			start(device)()
			if left := LeftBehind(folder, "history", device); len(left) > 0 {
				t.Errorf("%s left %q", device, left)
			}
			if another, err := IsAnother(folder, "/etc/a.toml", "porch", "yard"); err != nil || !another {
				t.Errorf("%s takes the topics of the other: %v", device, err)
			}
		}
		if after := filesIn(t, folder); !slices.Equal(before, after) {
			t.Errorf("%q, want %q", after, before)
		}
	}
}

func TestWhoeverStartsWasLeftBehindByNobody(t *testing.T) {
	folder := kept(t, "history/porch/1", "history/yard/1")
	follow(t, folder, "/etc/a.toml", "porch")
	follow(t, folder, "/etc/a.toml", "yard")
	yard := hold(t, folder, "yard")
	follow(t, folder, "/etc/a.toml", "porch") // beside it
	yard()
	if left := LeftBehind(folder, "history", "yard"); len(left) > 0 {
		t.Errorf("%q", left)
	}
}

func TestAMoveThatWasCutOffGoesOn(t *testing.T) {
	folder := kept(t, "history/porch/1", "thumbnails/porch/1", "outbox/yard/1")
	follow(t, folder, "/etc/a.toml", "porch")
	follow(t, folder, "/etc/a.toml", "yard")
	if after, want := filesIn(t, folder), []string{"history/yard/1", "outbox/yard/1", "thumbnails/yard/1"}; !slices.Equal(after, want) {
		t.Errorf("%q, want %q", after, want)
	}
}

func TestAFileOfNamesThatIsDamagedMovesNothingAndIsMadeAnew(t *testing.T) {
	folder := kept(t, namesFile, "history/porch/1")
	if err := Follow(folder, "/etc/a.toml", "yard"); err == nil {
		t.Error("it is not told")
	}
	if after := filesIn(t, folder); !slices.Equal(after, []string{"history/porch/1"}) {
		t.Errorf("%q", after)
	}
	follow(t, folder, "/etc/a.toml", "yard")
}
