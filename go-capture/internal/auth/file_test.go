// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func someFile(t *testing.T) File {
	t.Helper()
	return File{filepath.Join(t.TempDir(), "state", "credentials.toml")}
}

func TestTheFileHoldsHashesAndOnlyItsOwnerReadsIt(t *testing.T) {
	file := someFile(t)
	token, err := file.Add(Wanted{Name: "robot", Role: "viewer"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.Add(Wanted{Name: "anna", Role: "admin", Password: password}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file.Path)
	if err != nil {
		t.Fatal(err)
	}
	if info, _ := os.Stat(file.Path); info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v", info.Mode())
	}
	if strings.Contains(string(text), password) || strings.Contains(string(text), token[13:]) {
		t.Errorf("it holds a secret:\n%s", text)
	}
	if strings.Count(string(text), "$argon2id$v=19$") != 2 {
		t.Errorf("it holds other than two argon2id hashes:\n%s", text)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file.Path), "*")); len(left) != 1 {
		t.Errorf("beside it there is %v", left)
	}
}

// As root, which tests may be, nothing is refused.
func TestAFileThatIsSomebodyElsesSaysWhoseItMustBe(t *testing.T) {
	file := File{"/var/lib/visavis/credentials.toml"}
	for err, says := range map[error]bool{fs.ErrPermission: true, fs.ErrInvalid: false} {
		told := file.withOwner(&fs.PathError{Op: "open", Path: file.Path, Err: err})
		if strings.Contains(told.Error(), "chown ") != says || !errors.Is(told, err) {
			t.Errorf("%v: %v", err, told)
		}
	}
}

func TestAFileThatOthersMayReadIsRefused(t *testing.T) {
	file := someFile(t)
	if _, err := file.Add(Wanted{Name: "robot", Role: "viewer"}); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620} {
		if err := os.Chmod(file.Path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := file.Read(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
}

// On most kernels that is some milliseconds.
func TestWhoMayReadTheFileIsSeenWithinATickOfTheClock(t *testing.T) {
	file := someFile(t)
	if _, err := file.Add(Wanted{Name: "robot", Role: "viewer"}); err != nil {
		t.Fatal(err)
	}
	book, err := openBook(file)
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		for _, mode := range []os.FileMode{0o644, 0o600} {
			if err := os.Chmod(file.Path, mode); err != nil {
				t.Fatal(err)
			}
			if book.refresh(); (book.failed == nil) != (mode == 0o600) {
				t.Fatalf("mode %v: %v", mode, book.failed)
			}
		}
	}
}

func TestAccountsThatCannotBeAreNotMade(t *testing.T) {
	file := someFile(t)
	for why, wanted := range map[string]Wanted{
		"not allowed as a name":  {Name: "Anna!", Role: "viewer"},
		"no role":                {Name: "anna", Role: "king"},
		"not the id of a camera": {Name: "anna", Role: "viewer", Cameras: []string{"../door"}},
		"too short":              {Name: "anna", Role: "viewer", Password: "elevenchars"},
		"longer than":            {Name: "anna", Role: "viewer", Password: strings.Repeat("a", PasswordMost+1)},
		"not valid UTF-8":        {Name: "anna", Role: "viewer", Password: "correct horse \xff\xff"},
	} {
		if _, err := file.Add(wanted); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%+v: %v, want %q", wanted, err, why)
		}
	}
	if _, err := os.Stat(file.Path); err == nil {
		t.Error("something was written")
	}
}

func TestANameIsThereOnceAndWhoIsNotThereCannotBeRevoked(t *testing.T) {
	file := someFile(t)
	if _, err := file.Add(Wanted{Name: "anna", Role: "viewer"}); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Add(Wanted{Name: "anna", Role: "admin"}); err == nil || !strings.Contains(err.Error(), "revoke anna") {
		t.Errorf("a second anna: %v", err)
	}
	if err := file.Revoke("ben"); err == nil || !strings.Contains(err.Error(), "visavis auth list") {
		t.Errorf("nobody is revoked: %v", err)
	}
}

func TestManyWhoChangeTheFileAtOnceLoseNothing(t *testing.T) {
	file := someFile(t)
	var changing sync.WaitGroup
	for n := range 20 {
		changing.Add(1)
		go func() {
			defer changing.Done()
			if _, err := file.Add(Wanted{Name: fmt.Sprint("robot", n), Role: "viewer"}); err != nil {
				t.Error(err)
			}
		}()
	}
	changing.Wait()
	if accounts, err := file.Read(); err != nil || len(accounts) != 20 {
		t.Errorf("%d of 20 accounts, %v", len(accounts), err)
	}
}

func TestAnythingOddInTheFileIsAnErrorThatSaysWhatAndShowsNoHash(t *testing.T) {
	file := someFile(t)
	if _, err := file.Add(Wanted{Name: "anna", Role: "viewer", Password: password}); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(file.Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{"viewer", "king"}, {"argon2id", "argon2i"}, {"t=1", "t=1000"}, {"m=64", "m=4000000"},
		{"anna", "Anna"}, {"cameras = []", "cameras = ['a b']"}, {"role =", "rolle ="}, {"'password'", "'key'"}, {"'password'", "'token'"},
	} {
		changed := strings.Replace(string(good), change[0], change[1], 1)
		if changed == string(good) {
			t.Errorf("%q is not in the file:\n%s", change[0], good)
		}
		_, err := file.parse([]byte(changed))
		if err == nil || !strings.Contains(err.Error(), "cannot be used") || strings.Contains(err.Error(), "$argon2") {
			t.Errorf("%q instead of %q: %v", change[1], change[0], err)
		}
	}
	if _, err := file.parse(append(good, good[strings.Index(string(good), "[[account]]"):]...)); err == nil {
		t.Error("two accounts of one name are taken")
	}
}

func TestRootAddsAccountsForTheUserThatHasTheFolder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	const daemon = 12345
	file := someFile(t)
	if err := os.Mkdir(filepath.Dir(file.Path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(filepath.Dir(file.Path), daemon, daemon); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Add(Wanted{Name: "robot", Role: "viewer"}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file.Path)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); owner.Uid != daemon || owner.Gid != daemon {
		t.Errorf("the file belongs to %d:%d, and the daemon cannot read it", owner.Uid, owner.Gid)
	}
}

func TestARevocationThroughALinkReachesAllWhoShareTheFile(t *testing.T) {
	shared := someFile(t)
	if _, err := shared.Add(Wanted{Name: "robot", Role: "viewer"}); err != nil {
		t.Fatal(err)
	}
	linked := File{filepath.Join(t.TempDir(), "credentials.toml")}
	if err := os.Symlink(shared.Path, linked.Path); err != nil {
		t.Fatal(err)
	}
	if err := linked.Revoke("robot"); err != nil {
		t.Fatal(err)
	}
	if left, err := shared.Read(); err != nil || len(left) != 0 {
		t.Errorf("%d accounts are left, %v", len(left), err)
	}
	if info, err := os.Lstat(linked.Path); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", info.Mode(), err)
	}
}

func TestAnAccountThatWouldMakeTheFileUnreadableIsNotMade(t *testing.T) {
	file := someFile(t)
	many := make([]string, 1+fileBytesMost/36)
	for n := range many {
		many[n] = fmt.Sprintf("camera-%025d", n)
	}
	if _, err := file.Add(Wanted{Name: "robot", Role: "viewer"}); err != nil {
		t.Fatal(err)
	}
	_, err := file.Add(Wanted{Name: "wall", Role: "viewer", Cameras: many})
	if err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("it is made: %v", err)
	}
	if left, err := file.Read(); err != nil || len(left) != 1 {
		t.Errorf("%d accounts, %v", len(left), err)
	}
}

func TestAnEditorOfWindowsMayHaveWrittenTheFile(t *testing.T) {
	file := someFile(t)
	if _, err := file.Add(Wanted{Name: "anna", Role: "admin", Password: password}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file.Path)
	if err == nil {
		err = os.WriteFile(file.Path, append([]byte("\ufeff"), text...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if accounts, err := file.Read(); err != nil || len(accounts) != 1 {
		t.Errorf("%d accounts, %v", len(accounts), err)
	}
	if err := os.WriteFile(file.Path, []byte("\ufeff"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Read(); err == nil || !strings.Contains(err.Error(), "it is empty") {
		t.Errorf("of a file with that mark alone: %v", err)
	}
}
