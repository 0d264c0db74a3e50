// SPDX-License-Identifier: Apache-2.0

package state

import (
	"path/filepath"
	"slices"
	"testing"
)

func noteBeside(t *testing.T, folder, configuration, device string) {
	t.Helper()
	if err := NoteBeside(folder, configuration, device); err != nil {
		t.Fatal(err)
	}
}

// shared is a folder in which these ran beside each other, and the last of them started last while none of the others ran.
func shared(t *testing.T, devices ...string) (folder string) {
	t.Helper()
	var files []string
	for _, device := range devices {
		files = append(files, "history/"+device+"/1", "thumbnails/"+device+"/1")
	}
	folder = kept(t, files...)
	var ends []func()
	for _, device := range devices {
		follow(t, folder, "/etc/a.toml", device)
		ends = append(ends, hold(t, folder, device))
		noteBeside(t, folder, "/etc/a.toml", device)
	}
	for _, end := range ends {
		end()
	}
	follow(t, folder, "/etc/a.toml", devices[len(devices)-1])
	return folder
}

func TestANewNameLeavesThoseDevicesOfItsConfigurationThatDoNotRun(t *testing.T) {
	for name, one := range map[string]struct {
		runs, left []string
	}{
		"the other runs":    {[]string{"porch"}, []string{"yard"}},
		"the last one runs": {[]string{"yard"}, []string{"porch"}},
		"none runs":         {nil, []string{"porch", "yard"}},
		"all run":           {[]string{"porch", "yard"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			folder := shared(t, "porch", "yard")
			for _, device := range one.runs {
				defer hold(t, folder, device)()
			}
			before := filesIn(t, folder)
			follow(t, folder, "/etc/a.toml", "garden")
			for _, kind := range []string{"history", "thumbnails"} {
				if left := LeftBehind(folder, kind, "garden"); !slices.Equal(left, one.left) {
					t.Errorf("left in %s: %q, want %q", kind, left, one.left)
				}
			}
			if after := filesIn(t, folder); !slices.Equal(before, after) {
				t.Errorf("%q, want %q: nobody knows whose earlier name it is", after, before)
			}
			defer hold(t, folder, "garden")()
			for _, device := range one.left {
				follow(t, folder, "/etc/a.toml", device)
				defer hold(t, folder, device)()
			}
			if left := LeftBehind(folder, "history", "garden"); len(left) > 0 {
				t.Errorf("%q left although they start again", left)
			}
		})
	}
}

func TestTheNewNameOfADeviceIsNotThatWhichTheOthersRanBeside(t *testing.T) {
	folder := shared(t, "porch", "yard")
	defer hold(t, folder, "porch")()
	follow(t, folder, "/etc/a.toml", "garden")
	garden := hold(t, folder, "garden")
	noteBeside(t, folder, "/etc/a.toml", "garden")
	garden()
	for pair, want := range map[[2]string]bool{{"porch", "garden"}: true, {"yard", "garden"}: false, {"porch", "yard"}: false} {
		if another, err := IsAnother(folder, "/etc/a.toml", pair[0], pair[1]); err != nil || another != want {
			t.Errorf("%q: %v, %v", pair, another, err)
		}
	}
	if another, err := IsAnother(folder, "/etc/b.toml", "porch", "garden"); err != nil || another {
		t.Errorf("by another configuration: %v, %v", another, err)
	}
	if left := LeftBehind(folder, "history", "porch"); !slices.Equal(left, []string{"yard"}) {
		t.Errorf("%q", left)
	}
}

func TestWhoeverRunsBesideAnotherWasLeftBehindByNobody(t *testing.T) {
	folder := shared(t, "porch", "yard")
	for _, device := range []string{"porch", "yard"} {
		defer hold(t, folder, device)()
	}
	if err := list(filepath.Join(folder, leftFile), "porch", "yard", "attic"); err != nil { // as two that start at once may
		t.Fatal(err)
	}
	noteBeside(t, folder, "/etc/a.toml", "porch")
	if left, err := readList(filepath.Join(folder, leftFile)); err != nil || !slices.Equal(left, []string{"attic"}) {
		t.Errorf("%q, %v", left, err)
	}
}

func TestAFileOfGroupsThatIsDamagedMovesAndLeavesNothing(t *testing.T) {
	folder := shared(t, "porch", "yard")
	if err := Replace(filepath.Join(folder, besideFile), []byte("{")); err != nil {
		t.Fatal(err)
	}
	before := filesIn(t, folder)
	if err := Follow(folder, "/etc/a.toml", "garden"); err == nil {
		t.Error("it is not told")
	}
	if _, err := IsAnother(folder, "/etc/a.toml", "porch", "garden"); err == nil {
		t.Error("it is not told whether they are two")
	}
	if after, left := filesIn(t, folder), LeftBehind(folder, "history", "garden"); !slices.Equal(before, after) || len(left) > 0 {
		t.Errorf("%q, left %q", after, left)
	}
}
