// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// The disks in memory of other tests do the same.
func TestAFileIsMadeForItsOwnerAloneAndReplacedOnlyOnDemand(t *testing.T) {
	f := &folder{path: t.TempDir()}
	for _, c := range []struct {
		over bool
		err  error
		left string
	}{{false, nil, "new"}, {false, fs.ErrExist, "new"}, {true, nil, "ne"}} {
		made, err := f.create("file", c.over)
		if !errors.Is(err, c.err) {
			t.Fatalf("%+v: %v", c, err)
		}
		if err == nil {
			_, failed := made.WriteAt([]byte(c.left), 0)
			if err := errors.Join(failed, made.Close()); err != nil {
				t.Fatal(err)
			}
		}
		about, err := os.Stat(f.at("file"))
		if err != nil || about.Mode() != 0o600 {
			t.Errorf("%+v: %v, %v", c, about.Mode(), err)
		}
		if text, err := os.ReadFile(f.at("file")); string(text) != c.left || err != nil {
			t.Errorf("%+v: %q, %v", c, text, err)
		}
	}
}

func TestEventsAreKeptAfterSomebodyRemovedTheFolder(t *testing.T) {
	for _, before := range []int{0, 3} {
		s := Settings{Folder: filepath.Join(t.TempDir(), "porch")}
		o := loadedFrom(t, &folder{path: s.Folder}, s)
		put(t, o, 1, before)
		round(t, o)
		if err := errors.Join(o.retire(), os.RemoveAll(s.Folder)); err != nil {
			t.Fatal(err)
		}
		put(t, o, before+1, before+5)
		if err := o.round(true); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
		round(t, o)
		o.letGo()
		left, err := Look(s.Folder)
		if err != nil {
			t.Fatal(err)
		}
		if left.Waiting != 5 {
			t.Errorf("behind %d: %+v", before, left)
		}
		left.Release()
	}
}

func TestASegmentThatSomebodyRemovedStopsNoOther(t *testing.T) {
	s := Settings{Folder: t.TempDir()}
	o := loadedFrom(t, &folder{path: s.Folder}, s)
	defer o.letGo()
	put(t, o, 1, 5)
	round(t, o)
	same(t, taken(t, o, true), numbers(1, 5))
	if err := errors.Join(o.retire(), os.Remove(filepath.Join(s.Folder, segment{first: 1}.name()))); err != nil {
		t.Fatal(err)
	}
	round(t, o)
	if s := o.Stats(); s.Segments != 0 {
		t.Errorf("%+v", s)
	}
}
