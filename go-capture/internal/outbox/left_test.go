// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"visavis/capture/internal/state"
)

// Without its owner an event might be sent to somebody else's broker.
func TestAnOwnerIsOnDiskBeforeTheFirstEvent(t *testing.T) {
	for steps := range 12 {
		d := newMemoryDisk()
		d.steps = steps
		o := newOutbox(Settings{Owner: 7}, d)
		_ = o.round(true)
		put(t, o, 1, 3)
		_ = o.round(true)
		left := d.powerCut(func(int) int { return 0 })
		again := loadedFrom(t, left, Settings{})
		if s := again.Stats(); s.Segments > 0 && again.position.owner != 7 {
			t.Errorf("after %d steps: %+v, of %d", steps, s, again.position.owner)
		}
	}
}

func TestAFolderKeepsItsOwnerUntilItGetsAnother(t *testing.T) {
	s := Settings{Folder: filepath.Join(t.TempDir(), "porch"), Owner: 3}
	ended(t, open(t, s))
	if entries, err := os.ReadDir(s.Folder); err != nil || len(entries) != 0 {
		t.Errorf("before the first event there is %v, %v", entries, err)
	}
	for i, owner := range []uint64{0, 7, 0, 9} {
		s.Owner = owner
		o := open(t, s)
		if i == 0 {
			put(t, o, 1, 5)
		}
		ended(t, o)
		left, err := Look(s.Folder)
		if err != nil {
			t.Fatal(err)
		}
		if want := []uint64{0, 7, 7, 9}[i]; left.Owner != want || left.Waiting != 5 {
			t.Errorf("opened for %d: %+v, want %d", owner, left, want)
		}
		left.Release()
	}
}

func TestALookHoldsTheFolderWhereverItIsMoved(t *testing.T) {
	s := Settings{Folder: filepath.Join(t.TempDir(), "porch")}
	ended(t, open(t, s))
	left, err := Look(s.Folder)
	if err != nil {
		t.Fatal(err)
	}
	moved := s.Folder + ".second"
	if err := os.Rename(s.Folder, moved); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Settings{Folder: moved}); !errors.Is(err, state.ErrInUse) {
		t.Errorf("opened: %v", err)
	}
	left.Release()
	ended(t, open(t, Settings{Folder: moved}))
}

func TestAFolderIsRemovedOnlyIfNothingWaitsAndNothingElseIsThere(t *testing.T) {
	for what, c := range map[string]struct {
		waits bool
		other string
		gone  bool
	}{"empty": {gone: true}, "waiting": {waits: true}, "with a stranger": {other: "README"}, "cut off": {other: "position.new", gone: true}} {
		t.Run(what, func(t *testing.T) {
			s := Settings{Folder: filepath.Join(t.TempDir(), "porch")}
			o := open(t, s)
			put(t, o, 1, 5)
			if !c.waits {
				taken(t, o, true)
			}
			ended(t, o)
			if c.other != "" {
				if err := os.WriteFile(filepath.Join(s.Folder, c.other), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			left, err := Look(s.Folder)
			if err != nil {
				t.Fatal(err)
			}
			defer left.Release()
			if err := left.Remove(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(s.Folder); (err != nil) != c.gone {
				t.Errorf("gone: %v", err)
			}
			if _, err := os.Stat(filepath.Join(s.Folder, segment{first: 1}.name())); (err == nil) != c.waits {
				t.Errorf("its events: %v", err)
			}
		})
	}
}
