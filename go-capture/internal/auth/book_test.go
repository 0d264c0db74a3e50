// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTwoDevicesWithOneFileTakeTheSameTokensAndRevokeThemTogether(t *testing.T) {
	d := openDoor(t)
	other, err := Open(Settings{File: d.file, SessionIdle: time.Hour, SessionMost: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	token := d.add(t, Wanted{Name: "robot", Role: "operator"})
	gates := map[string]*Gate{"one": d.Gate, "other": other}
	for name, gate := range gates {
		if who, err := gate.ByToken(context.Background(), home, token); err != nil || who.Name != "robot" {
			t.Errorf("%s: %v, %v", name, who.Name, err)
		}
	}
	if err := d.file.Revoke("robot"); err != nil {
		t.Fatal(err)
	}
	for name, gate := range gates {
		_, err := gate.ByToken(context.Background(), home, token)
		d.refuses(t, name, err, ErrUnknown)
	}
}

func TestAFileThatBreaksWhileServingLetsNobodyIn(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	cookie := d.login(t, "anna")
	if err := os.WriteFile(d.file.Path, []byte("account = 7"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := d.BySession(cookie)
	d.refuses(t, "a session while the file is damaged", err, ErrUnknown)
	d.look()
	if fault, want := d.Fault(), "nobody is let in: credentials in "+d.file.Path+" cannot be used"; !strings.HasPrefix(fault, want) {
		t.Errorf("the status says %q, want %q", fault, want)
	}
	if _, err := Open(Settings{File: d.file}); err == nil {
		t.Error("a device starts with a damaged file")
	}
}

// TestASessionOutlivesAFileThatCannotBeReadForAWhile, unless its account was removed or changed meanwhile: nobody is let in, and what is
// open ends, until the file can be read again.
func TestASessionOutlivesAFileThatCannotBeReadForAWhile(t *testing.T) {
	for what, spoil := range map[string]func(path string) error{
		"damaged":            func(path string) error { return os.WriteFile(path, []byte("account = 7"), 0o600) },
		"emptied":            func(path string) error { return os.Truncate(path, 0) },
		"readable by others": func(path string) error { return os.Chmod(path, 0o644) },
	} {
		t.Run(what, func(t *testing.T) {
			d := openDoor(t)
			d.addAnna(t)
			for _, name := range []string{"ben", "eve"} {
				d.add(t, Wanted{Name: name, Role: "viewer", Password: password})
			}
			annas, bens, eves := d.login(t, "anna"), d.login(t, "ben"), d.login(t, "eve")
			who, _ := d.BySession(annas)
			open, release := d.Hold(context.Background(), who)
			defer release()
			d.spoilForAWhile(t, spoil, func() {
				_, err := d.BySession(annas)
				d.refuses(t, "a session meanwhile", err, ErrUnknown)
			})
			if open.Err() == nil {
				t.Error("what was open went on meanwhile")
			}
			if err := errors.Join(d.file.Revoke("ben"), d.file.SetPassword("eve", "another horse battery")); err != nil {
				t.Fatal(err)
			}
			d.look()
			if who, err := d.BySession(annas); err != nil || who.Name != "anna" {
				t.Errorf("anna's session afterwards is of %+v, %v", who, err)
			}
			for _, cookie := range []string{bens, eves} {
				_, err := d.BySession(cookie)
				d.refuses(t, "the session of who was removed or has another password", err, ErrUnknown)
			}
		})
	}
}

// spoilForAWhile does something while the daemon has seen a file that it cannot use; it finds the same accounts afterwards, unseen.
func (d *door) spoilForAWhile(t *testing.T, spoil func(path string) error, do func()) {
	t.Helper()
	text, err := os.ReadFile(d.file.Path)
	if err := errors.Join(err, spoil(d.file.Path)); err != nil {
		t.Fatal(err)
	}
	d.look()
	do()
	if d.Fault() == "" {
		t.Error("the status does not say that the file cannot be used")
	}
	if err := errors.Join(os.WriteFile(d.file.Path, text, 0o600), os.Chmod(d.file.Path, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestWhoRepairsTheFileAsTheLogSaysIsLetInAgain(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	copied := func() { // by somebody whose copies others may read
		text, err := os.ReadFile(d.file.Path)
		fresh := d.file.Path + ".copy"
		if err := errors.Join(err, os.WriteFile(fresh, text, 0o644), os.Rename(fresh, d.file.Path)); err != nil {
			t.Fatal(err)
		}
	}
	copied()
	_, _, err := d.Login(context.Background(), home, "anna", password)
	d.refuses(t, "a login while others may read the file", err, ErrUnknown)
	d.look()
	if err := os.Chmod(d.file.Path, 0o600); err != nil {
		t.Fatal(err)
	}
	d.login(t, "anna")
	d.look()
	if fault := d.Fault(); fault != "" {
		t.Errorf("after it the status says %q", fault)
	}
}

func TestAFileThatCouldNotBeReadOnceIsReadAgain(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	withoutDescriptors(t, func() {
		_, _, err := d.Login(context.Background(), home, "anna", password)
		d.refuses(t, "a login while no file can be opened", err, ErrUnknown)
	})
	d.login(t, "anna")
}

// withoutDescriptors does something while this process may open no more files.
func withoutDescriptors(t *testing.T, do func()) {
	t.Helper()
	var usual syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &usual); err != nil {
		t.Fatal(err)
	}
	none := usual
	none.Cur = 0
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	do()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &usual); err != nil {
		t.Fatal(err)
	}
}
