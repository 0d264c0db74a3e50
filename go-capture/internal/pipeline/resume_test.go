// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"visavis/capture/internal/config"
	"visavis/capture/internal/event"
	"visavis/capture/internal/zone"
)

// Whoever hears how a visit ended must know of the camera what the beginning said.
func TestAVisitThatAKilledDaemonLeftOpenEndsAsItBegan(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("VISAVIS_STATE_DIR", folder)
	file := filepath.Join(folder, "config.toml")
	text := "[device]\nid = \"box\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\nformats = [\"frigate\"]\n[[camera]]\nid = \"door\"\nsource = \"push:\"\nsnapshots = true\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, killed := range []bool{true, false} {
		a := ofFile(t, file)
		closeEvents, err := a.keepEvents()
		if err != nil {
			t.Fatal(err)
		}
		if killed {
			id := ulid.Make().String()
			a.history.Append(event.Event{Schema: 1, Type: zone.Appeared, ID: id, Visit: id, Camera: "door", Track: 1, StartedAt: event.Time{Time: time.Now()}})
		}
		if err := closeEvents(); err != nil {
			t.Fatal(err)
		}
	}
	if told := kept(t, filepath.Join(folder, "outbox")); !strings.Contains(told, `"type":"end"`) || strings.Contains(told, `"has_snapshot":false`) {
		t.Errorf("it ends with %q", told)
	}
}

func ofFile(t *testing.T, file string) *Appliance {
	t.Helper()
	settings, err := config.Load(file, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(settings, file, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.gateway.Close)
	return a
}

// kept is all that lies in a folder.
func kept(t *testing.T, folder string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		all.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
