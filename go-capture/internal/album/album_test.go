// SPDX-License-Identifier: Apache-2.0

package album

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"visavis/capture/internal/state"
	"visavis/capture/internal/waiting"
)

// taken is a picture of so many bytes, in the frame that every JPEG has.
func taken(number, size int) Picture {
	jpeg := append([]byte{0xff, 0xd8}, bytes.Repeat([]byte{byte(number)}, size-4)...)
	return Picture{ID: fmt.Sprintf("01JDG3ZQ3N8XKZ5T0V4W2Y%04d", number), Camera: "door", Privacy: "pixelate", JPEG: append(jpeg, 0xff, 0xd9)}
}

// keepsAll is a history that has forgotten nothing.
func keepsAll() (string, bool) { return "", true }

// everyone may see every camera.
func everyone(string) bool { return true }

func opened(t *testing.T, folder string, most int64) *Album {
	t.Helper()
	a := New(Settings{Folder: folder, MostBytes: most, Oldest: keepsAll})
	t.Cleanup(a.Close)
	a.Trim(nobody)
	if a.fault.Now() != "" {
		t.Fatal(a.fault.Now())
	}
	return a
}

// numbers are the pictures that can be found, whole and as they were kept.
func numbers(a *Album, among int) string {
	var found []string
	for n := range among {
		want := taken(n, 5000)
		if got, there := a.Find(context.Background(), want.ID, everyone); there && got.Camera == "door" && got.Privacy == "pixelate" && bytes.Equal(got.JPEG, want.JPEG) {
			found = append(found, fmt.Sprint(n))
		}
	}
	return strings.Join(found, " ")
}

func files(t *testing.T, folder string) int {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestPicturesOutliveTheProcess(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "thumbnails", "box")
	a := opened(t, folder, 1<<20)
	for n := range 3 {
		a.Keep(taken(n, 5000))
	}
	if got := numbers(a, 4); got != "0 1 2" {
		t.Errorf("found %q", got)
	}
	a.Close()
	if got := numbers(opened(t, folder, 1<<20), 4); got != "0 1 2" {
		t.Errorf("after a restart %q", got)
	}
}

func TestTheOldestPicturesGoWhenThereAreTooMany(t *testing.T) {
	folder := t.TempDir()
	a := opened(t, folder, 3*8192) // 5,000 bytes take two blocks
	for n := range 10 {
		a.Keep(taken(n, 5000))
	}
	if got := numbers(a, 10); got != "7 8 9" || files(t, folder) != 3 {
		t.Errorf("found %q in %d files", got, files(t, folder))
	}
	a.Close()
	if got := numbers(opened(t, folder, 8192), 10); got != "9" || files(t, folder) != 1 {
		t.Errorf("with a smaller cap %q in %d files", got, files(t, folder))
	}
}

func TestAPictureGoesWithTheRecordOfItsEvent(t *testing.T) {
	folder, oldest, known := t.TempDir(), taken(2, 5000).ID, false
	a := New(Settings{Folder: folder, MostBytes: 1 << 20, Oldest: func() (string, bool) { return oldest, known }})
	defer a.Close()
	for n := range 5 {
		a.Keep(taken(n, 5000))
	}
	a.Trim(nobody)
	if got := numbers(a, 5); got != "0 1 2 3 4" {
		t.Errorf("while nobody knows what is kept %q", got)
	}
	known = true
	a.Trim(nobody)
	if got := numbers(a, 5); got != "2 3 4" || files(t, folder) != 3 {
		t.Errorf("found %q in %d files", got, files(t, folder))
	}
}

// nobody is unwanted.
func nobody(string, string) bool { return false }

func TestAPictureIsNotKeptForLongerThanItMayWhileNobodyKnowsItsEvent(t *testing.T) {
	folder := t.TempDir()
	a := New(Settings{Folder: folder, MostBytes: 1 << 20, MostAge: 24 * time.Hour, Oldest: func() (string, bool) { return "", false }})
	defer a.Close()
	now := time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC)
	a.wall = func() time.Time { return now }
	for n, age := range []time.Duration{25 * time.Hour, 24*time.Hour + time.Second, 24 * time.Hour, 0, -time.Hour} {
		id := ulid.MustNew(ulid.Timestamp(now.Add(-age)), nil)
		a.Keep(Picture{ID: id.String(), Camera: "door", Privacy: "blur", JPEG: taken(n, 5000).JPEG})
	}
	if a.Trim(nobody); files(t, folder) != 3 {
		t.Errorf("%d are left, want 3", files(t, folder))
	}
	if now = now.Add(24 * time.Hour); files(t, folder) != 3 {
		t.Fatal("nobody has looked yet")
	}
	if a.Trim(nobody); files(t, folder) != 2 {
		t.Errorf("a day later %d are left, want 2", files(t, folder))
	}
	now = time.UnixMilli(0)
	if a.Trim(nobody); files(t, folder) != 2 {
		t.Errorf("%d are left after a start in 1970, want 2", files(t, folder))
	}
}

func TestAPictureThatSomebodyRemovedStopsNoOther(t *testing.T) {
	folder := t.TempDir()
	a := opened(t, folder, 2*8192)
	for n := range 4 {
		a.Keep(taken(n, 5000))
		if err := os.RemoveAll(filepath.Join(folder, page{taken(0, 5000).ID, "door", "pixelate", 0}.name())); err != nil {
			t.Fatal(err)
		}
	}
	if got := numbers(a, 4); got != "2 3" || a.Fault() != "" {
		t.Errorf("found %q, fault %q", got, a.Fault())
	}
}

func TestWhatAKillOrAPowerCutLeavesIsNoPicture(t *testing.T) {
	folder := t.TempDir()
	a := opened(t, folder, 1<<20)
	for n := range 4 {
		a.Keep(taken(n, 5000))
	}
	a.Close()
	path := func(n int) string { return a.path(a.kept[n]) }
	for n, left := range map[int][]byte{0: {}, 1: taken(1, 5000).JPEG[:700]} {
		if err := os.WriteFile(path(n), left, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(path(2), path(2)+unfinished); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "notes.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	next := opened(t, folder, 1<<20)
	if got := numbers(next, 4); got != "3" || files(t, folder) != 4 { // 0, 1, 3 and the notes
		t.Errorf("found %q in %d files", got, files(t, folder))
	}
	for n := range 2 {
		if left, there := next.Find(context.Background(), taken(n, 5000).ID, everyone); there {
			t.Errorf("%d is shown: %d bytes", n, len(left.JPEG))
		}
	}
}

func TestAFullDiskCostsPicturesUntilThereIsSpace(t *testing.T) {
	folder := t.TempDir()
	a := opened(t, folder, 1<<20)
	first := taken(0, 5000)
	full := filepath.Join(folder, page{id: first.ID, camera: "door", privacy: "pixelate"}.name()+unfinished)
	if err := os.Symlink("/dev/full", full); err != nil { // the kernel's own "no space left on device"
		t.Fatal(err)
	}
	a.Keep(first)
	if !strings.Contains(a.fault.Now(), "no space left on device") || files(t, folder) != 0 {
		t.Errorf("fault %q, %d files", a.fault.Now(), files(t, folder))
	}
	a.Keep(taken(1, 5000))
	if got := numbers(a, 2); got != "1" || a.fault.Now() != "" {
		t.Errorf("found %q, fault %q", got, a.fault.Now())
	}
}

func TestAFolderThatIsRemovedOrInUseIsTriedAgain(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "box")
	first := opened(t, folder, 1<<20)
	second := New(Settings{Folder: folder, MostBytes: 1 << 20, Oldest: keepsAll})
	defer second.Close()
	second.Keep(taken(0, 5000))
	if got := numbers(second, 1); got != "" || !strings.Contains(second.fault.Now(), "another program uses it") {
		t.Errorf("two albums in one folder: %q, fault %q", got, second.fault.Now())
	}
	first.Close()
	second.Keep(taken(1, 5000))
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	second.Keep(taken(2, 5000)) // finds no folder
	second.Keep(taken(3, 5000))
	if second.bytes != 8192 {
		t.Errorf("%d bytes are counted of one picture", second.bytes)
	}
	if got := numbers(second, 4); got != "3" || second.fault.Now() != "" {
		t.Errorf("found %q, fault %q", got, second.fault.Now())
	}
}

func TestWhoAsksAtOnceWaitsForThePicture(t *testing.T) {
	a := opened(t, t.TempDir(), 1<<20)
	a.patience = waiting.Most // the disk may be slow
	there := taken(0, 5000)
	a.Expect(there.ID, there.Camera)
	found := make(chan string)
	go func() { found <- numbers(a, 1) }()
	select {
	case <-found:
		t.Error("nobody waited")
	case <-time.After(20 * time.Millisecond): // it may be too early to see who does not wait, never too late
		a.Keep(there)
		if got := <-found; got != "0" {
			t.Errorf("found %q", got)
		}
	}
	never := taken(1, 5000)
	a.Expect(never.ID, never.Camera)
	a.GiveUp(never.ID)
	if _, found := a.Find(context.Background(), never.ID, everyone); found || len(a.coming) != 0 {
		t.Errorf("found %v, %d still expected", found, len(a.coming))
	}
}

func TestWhoMayNotSeeACameraIsNotToldLaterWhereAPictureIsBeingMade(t *testing.T) {
	a := opened(t, t.TempDir(), 1<<20)
	a.patience = 2 * waiting.Most
	coming, ended := taken(0, 5000), make(chan bool, 1)
	a.Expect(coming.ID, coming.Camera)
	go func() {
		_, found := a.Find(context.Background(), coming.ID, func(camera string) bool { return camera != coming.Camera })
		ended <- found
	}()
	waiting.Until(t, "it is answered while the picture is being made", func() bool { return len(ended) == 1 })
	if <-ended {
		t.Error("it is shown")
	}
}

// nothing is unwanted.
func nothing(_, _ string) bool { return false }

func TestAFolderWithoutAnAlbumIsEmptied(t *testing.T) {
	emptied := Settings{Folder: filepath.Join(t.TempDir(), "thumbnails", "box")}
	if err := Trim(emptied, nothing); err != nil {
		t.Errorf("none were ever kept: %v", err)
	}
	a := opened(t, emptied.Folder, 1<<20)
	a.Keep(taken(0, 5000))
	if err := Trim(emptied, nothing); !errors.Is(err, state.ErrInUse) || files(t, emptied.Folder) != 1 {
		t.Errorf("while another program uses it: %v", err)
	}
	a.Close()
	mine := filepath.Join(emptied.Folder, "mine.txt")
	if err := os.WriteFile(mine, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Trim(emptied, nothing); err != nil || files(t, emptied.Folder) != 1 {
		t.Errorf("%d files are left, want what is no picture: %v", files(t, emptied.Folder), err)
	}
}

func TestAFolderWithoutAnAlbumKeepsWhatItMay(t *testing.T) {
	folder := t.TempDir()
	a := opened(t, folder, 1<<20)
	for n, privacy := range []string{"blur", "none", "blur", "none"} {
		id := ulid.MustNew(ulid.Timestamp(time.Now().Add(time.Duration(n-2)*time.Hour)), nil)
		a.Keep(Picture{ID: id.String(), Camera: "door", Privacy: privacy, JPEG: taken(n, 5000).JPEG})
	}
	a.Close()
	plain := func(_, privacy string) bool { return privacy == "none" }
	if err := Trim(Settings{Folder: folder, MostBytes: 1 << 20, MostAge: 90 * time.Minute}, plain); err != nil || files(t, folder) != 1 {
		t.Errorf("%d files are left, want the young one that hides the face: %v", files(t, folder), err)
	}
}

func TestAPictureThatCannotBeRemovedIsToldForAsLongAsItStays(t *testing.T) {
	for name, unwanted := range map[string]func(camera, privacy string) bool{
		"too old": nobody,
		"plain":   func(_, privacy string) bool { return privacy == "none" },
	} {
		folder := t.TempDir()
		a := New(Settings{Folder: folder, MostBytes: 1 << 20, MostAge: 3 * time.Hour})
		defer a.Close()
		keep := func(ago time.Duration, privacy string) (file string) {
			id := ulid.MustNew(ulid.Timestamp(time.Now().Add(-ago)), nil).String()
			a.Keep(Picture{ID: id, Camera: "door", Privacy: privacy, JPEG: taken(0, 5000).JPEG})
			return filepath.Join(folder, page{id, "door", privacy, 0}.name())
		}
		files := []string{keep(2*time.Hour, "none"), keep(2*time.Hour-time.Second, "none")}
		if name == "too old" {
			a.settings.MostAge = time.Hour
		}
		if err := os.Remove(files[0]); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(files[0], "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		for n := range 2 {
			if a.Trim(unwanted); !strings.Contains(a.Fault(), "should be gone and stay on the disk: 1 of ") {
				t.Errorf("%s: %q", name, a.Fault())
			}
			keep(time.Duration(2-n)*time.Minute, "blur")
		}
		if _, err := os.Stat(files[1]); err == nil {
			t.Errorf("%s: what could be removed stays too", name)
		}
		if len(a.kept) != 3 || !strings.Contains(a.Fault(), files[0]) {
			t.Errorf("%s: %d are kept, want the one that stays and two new ones; %q", name, len(a.kept), a.Fault())
		}
		if err := os.RemoveAll(files[0]); err != nil {
			t.Fatal(err)
		}
		if a.Trim(unwanted); a.Fault() != "" || a.bytes != 2*8192 {
			t.Errorf("%s: %q, %d bytes", name, a.Fault(), a.bytes)
		}
	}
}

func TestInAFullAlbumThePicturesBehindOneThatStaysMakeRoom(t *testing.T) {
	folder := t.TempDir()
	a := opened(t, folder, 3*8192)
	a.Trim(nobody)
	for n := range 3 {
		a.Keep(taken(n, 5000))
	}
	stuck := filepath.Join(folder, a.kept[0].name())
	if err := os.Remove(stuck); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(stuck, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	for n := range 4 {
		a.Keep(taken(3+n, 5000))
	}
	if len(a.kept) != 3 || a.kept[0].id != taken(0, 5000).ID || a.kept[2].id != taken(6, 5000).ID || a.Fault() != "" {
		t.Errorf("%v are kept, %q", a.kept, a.Fault())
	}
}

func TestToLookThroughManyPicturesTakesNoMemory(t *testing.T) {
	a := opened(t, t.TempDir(), 1<<30)
	for n := range 10000 {
		a.kept = append(a.kept, page{id: taken(n, 4).ID, camera: "door", privacy: "blur"})
	}
	if made := testing.AllocsPerRun(10, func() { a.Trim(nobody) }); made > 0 {
		t.Errorf("%v allocations", made)
	}
}

func TestPicturesInBetweenGoInOnePass(t *testing.T) {
	a := opened(t, t.TempDir(), 1<<30)
	for n := range 9 {
		a.Keep(taken(n, 5000))
	}
	wanted := 0
	a.Trim(func(string, string) bool { wanted++; return wanted%3 != 0 })
	if got := numbers(a, 9); got != "2 5 8" || a.bytes != 3*8192 {
		t.Errorf("%q stay, of %d bytes", got, a.bytes)
	}
}
