// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"visavis/capture/internal/waiting"
)

const (
	home     = "192.0.2.7:50000"
	password = "correct horse battery"
)

func TestMain(m *testing.M) {
	usual = cost{memoryKiB: 64, passes: 1, lanes: 1} // the race detector makes the real cost a second each
	waiting.ForGoroutines(m)
}

// door is a gate with its file and a clock that stands still.
type door struct {
	*Gate
	file File
	time time.Time
}

func openDoor(t *testing.T) *door {
	t.Helper()
	d := &door{file: File{filepath.Join(t.TempDir(), "credentials.toml")}, time: time.Now()}
	settings := Settings{File: d.file, SessionIdle: time.Hour, SessionMost: 24 * time.Hour, now: func() time.Time { return d.time }}
	gate, err := Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	d.Gate = gate
	return d
}

// add makes an account and returns its token, if it is one that has no password.
func (d *door) add(t *testing.T, wanted Wanted) string {
	t.Helper()
	token, err := d.file.Add(wanted)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (d *door) addAnna(t *testing.T) {
	t.Helper()
	d.add(t, Wanted{Name: "anna", Role: "admin", Cameras: []string{"*"}, Password: password})
}

func (d *door) login(t *testing.T, name string) string {
	t.Helper()
	cookie, _, err := d.Login(context.Background(), home, name, password)
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}

func (d *door) refuses(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

func TestAPersonLogsInAndTheCookieIsTheirs(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	who, err := d.BySession(d.login(t, " Anna "))
	if err != nil || who.Name != "anna" || who.Role != Admin || !who.MaySee("anything") {
		t.Errorf("the session is of %+v, %v", who, err)
	}
	_, err = d.BySession("guessed")
	d.refuses(t, "a cookie that nobody has", err, ErrUnknown)
}

func TestEveryWrongLoginIsRefusedInTheSameWords(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	_, secret, _ := splitToken(d.add(t, Wanted{Name: "robot", Role: "viewer"}))
	for _, try := range [][2]string{{"anna", "wrong horse battery"}, {"nobody", password}, {"robot", secret}, {"", ""}} {
		_, _, err := d.Login(context.Background(), home, try[0], try[1])
		d.refuses(t, try[0], err, ErrUnknown)
	}
}

func TestATokenSaysWhoItIsAndASecondTimeCostsNoHash(t *testing.T) {
	d := openDoor(t)
	token := d.add(t, Wanted{Name: "robot", Role: "viewer", Cameras: []string{"door"}})
	if !strings.HasPrefix(token, "vis_") {
		t.Errorf("%.4s... does not say whose token it is", token)
	}
	if who, err := d.ByToken(context.Background(), home, token); err != nil || who.Role != Viewer || !who.MaySee("door") || who.MaySee("yard") {
		t.Fatalf("the token is of %+v, %v", who, err)
	}
	d.verifier.waiting.Store(hashesWaiting) // no hash can be computed now
	if _, err := d.ByToken(context.Background(), home, token); err != nil {
		t.Errorf("the second time: %v", err)
	}
}

func TestWrongTokensAreRefused(t *testing.T) {
	d := openDoor(t)
	token := d.add(t, Wanted{Name: "robot", Role: "viewer"})
	for _, wrong := range []string{"", "vis_", token[:len(token)-1], token + "a", strings.ToUpper(token), strings.Replace(token, "vis_", "vis_a", 1),
		"vis_aaaaaaaa_" + token[13:], token[:13], strings.Repeat("vis_", 1000)} {
		_, err := d.ByToken(context.Background(), home, wrong)
		d.refuses(t, wrong, err, ErrUnknown)
	}
}

func TestRevokingEndsTokenSessionAndWhatIsOpenAndNothingElse(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	d.add(t, Wanted{Name: "ben", Role: "viewer", Password: password})
	token := d.add(t, Wanted{Name: "robot", Role: "viewer"})
	robot, _ := d.ByToken(context.Background(), home, token)
	anna, _ := d.BySession(d.login(t, "anna"))
	benCookie := d.login(t, "ben")
	ben, _ := d.BySession(benCookie)
	var open []context.Context
	for _, who := range []Identity{robot, anna, ben} {
		ctx, release := d.Hold(context.Background(), who)
		defer release()
		open = append(open, ctx)
	}
	for _, name := range []string{"robot", "anna"} {
		if err := d.file.Revoke(name); err != nil {
			t.Fatal(err)
		}
	}
	_, err := d.ByToken(context.Background(), home, token)
	d.refuses(t, "a revoked token", err, ErrUnknown)
	d.look()
	if open[0].Err() == nil || open[1].Err() == nil || open[2].Err() != nil {
		t.Errorf("after revoking robot and anna, the streams of robot, anna and ben ended with %v, %v, %v", open[0].Err(), open[1].Err(), open[2].Err())
	}
	if _, err := d.BySession(benCookie); err != nil {
		t.Errorf("ben, who was not revoked: %v", err)
	}
}

func TestANewAccountOfTheSameNameIsAnotherOne(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	cookie := d.login(t, "anna")
	if err := d.file.Revoke("anna"); err != nil {
		t.Fatal(err)
	}
	d.addAnna(t)
	_, err := d.BySession(cookie)
	d.refuses(t, "the session of the anna before", err, ErrUnknown)
}

func TestANewPasswordEndsWhatBeganWithTheOldOne(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	d.add(t, Wanted{Name: "ben", Role: "viewer", Cameras: []string{"*"}, Password: password})
	annas, bens := d.login(t, "anna"), d.login(t, "ben")
	who, err := d.BySession(annas)
	if err != nil {
		t.Fatal(err)
	}
	open, release := d.Hold(context.Background(), who)
	defer release()
	if err := d.file.SetPassword("anna", "another horse battery"); err != nil {
		t.Fatal(err)
	}
	d.look()
	if open.Err() == nil {
		t.Error("her live picture goes on")
	}
	_, err = d.BySession(annas)
	d.refuses(t, "her session", err, ErrUnknown)
	_, _, err = d.Login(context.Background(), home, "anna", password)
	d.refuses(t, "the old password", err, ErrUnknown)
	if _, _, err := d.Login(context.Background(), home, "anna", "another horse battery"); err != nil {
		t.Errorf("the new password: %v", err)
	}
	if _, err := d.BySession(bens); err != nil {
		t.Errorf("ben's session: %v", err)
	}
}

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

func TestWhatIsHeldAfterARevocationEndsAtOnce(t *testing.T) {
	d := openDoor(t)
	token := d.add(t, Wanted{Name: "robot", Role: "viewer"})
	who, _ := d.ByToken(context.Background(), home, token)
	if err := d.file.Revoke("robot"); err != nil {
		t.Fatal(err)
	}
	d.look()
	ctx, release := d.Hold(context.Background(), who)
	defer release()
	if ctx.Err() == nil {
		t.Error("a stream begins for somebody who was revoked while it was being opened")
	}
}

func TestLogoutEndsTheSessionAndWhatItHasOpen(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	cookie, other := d.login(t, "anna"), d.login(t, "anna")
	who, _ := d.BySession(cookie)
	ctx, release := d.Hold(context.Background(), who)
	defer release()
	if err := d.Logout(cookie); err != nil {
		t.Fatal(err)
	}
	_, err := d.BySession(cookie)
	d.refuses(t, "a session that was left", err, ErrUnknown)
	if ctx.Err() == nil {
		t.Error("its stream goes on")
	}
	if _, err := d.BySession(other); err != nil {
		t.Errorf("the same person's other browser: %v", err)
	}
}

func TestASessionEndsWhenItIsNotUsedAndInAnyCaseAfterADay(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	idle, used := d.login(t, "anna"), d.login(t, "anna")
	for range 24 {
		if _, err := d.BySession(used); err != nil {
			t.Fatalf("a session in use after %v: %v", time.Since(d.time), err)
		}
		d.time = d.time.Add(59 * time.Minute)
	}
	_, err := d.BySession(idle)
	d.refuses(t, "an idle session", err, ErrUnknown)
	d.time = d.time.Add(25 * time.Minute)
	_, err = d.BySession(used)
	d.refuses(t, "a session of a day", err, ErrUnknown)
}

func TestAnOpenStreamKeepsASessionButNotForEver(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	who, _ := d.BySession(d.login(t, "anna"))
	ctx, release := d.Hold(context.Background(), who)
	defer release()
	d.time = d.time.Add(23 * time.Hour)
	if d.look(); ctx.Err() != nil {
		t.Error("a stream that is watched ended as idle")
	}
	d.time = d.time.Add(time.Hour)
	if d.look(); ctx.Err() == nil {
		t.Error("a stream outlives its session")
	}
}

func TestOneAddressGetsFiveTriesAndTheNextAddressItsOwn(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	for range perAddress.burst {
		_, _, err := d.Login(context.Background(), home, "anna", "wrong horse battery")
		d.refuses(t, "a try", err, ErrUnknown)
	}
	_, _, err := d.Login(context.Background(), home, "anna", password)
	var wait Throttled
	if !errors.As(err, &wait) || wait.Wait <= 0 || wait.Wait > perAddress.each {
		t.Errorf("after %d tries: %v", perAddress.burst, err)
	}
	if _, _, err := d.Login(context.Background(), "192.0.2.8:50000", "anna", password); err != nil {
		t.Errorf("from another address: %v", err)
	}
	d.time = d.time.Add(perAddress.each)
	if _, _, err := d.Login(context.Background(), home, "anna", password); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

func TestGuessingFromManyAddressesRunsIntoTheNamesLimitAndDoesNotLockItsOwnerOut(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	d.login(t, "anna")
	for n := range perName.burst + 5 {
		_, _, err := d.Login(context.Background(), fmt.Sprintf("198.51.100.%d:1", n), "anna", "wrong horse battery")
		if throttled := errors.As(err, &Throttled{}); throttled != (n >= perName.burst-1) { // anna's own login was one
			t.Fatalf("try %d: %v", n, err)
		}
	}
	d.login(t, "anna") // from the address where she was before
}

func TestAHouseholdsIPv6IsOneAddress(t *testing.T) {
	d := openDoor(t)
	for n := range perAddress.burst {
		_, _, err := d.Login(context.Background(), fmt.Sprintf("[2001:db8:1:2::%d]:80", n+1), "anna", password)
		d.refuses(t, "a try", err, ErrUnknown)
	}
	if _, _, err := d.Login(context.Background(), "[2001:db8:1:2:3:4:5:6]:80", "anna", password); !errors.As(err, &Throttled{}) {
		t.Errorf("from another address of the household: %v", err)
	}
	_, _, err := d.Login(context.Background(), "[2001:db8:1:3::1]:80", "anna", password)
	d.refuses(t, "the neighbours", err, ErrUnknown)
}

func TestAThrottleStaysSmallAndRemembersWhoTriedMost(t *testing.T) {
	limit, now := newThrottle(perAddress), time.Now()
	for limit.take("attacker", now) == 0 {
		continue
	}
	for n := range 3 * bucketsMost {
		limit.take(fmt.Sprint(n), now)
	}
	if len(limit.buckets) > bucketsMost {
		t.Errorf("%d buckets, want at most %d", len(limit.buckets), bucketsMost)
	}
	if limit.take("attacker", now) == 0 {
		t.Error("the attacker was forgotten")
	}
}

func TestAFloodOfLoginsComputesOneHashAtATimeAndRefusesTheRest(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	if err := d.verifier.places.Acquire(context.Background(), hashesAtOnce); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	results := make(chan error, 100)
	var trying sync.WaitGroup
	for n := range cap(results) {
		trying.Add(1)
		go func() {
			defer trying.Done()
			_, _, err := d.Login(ctx, fmt.Sprintf("198.51.100.%d:1", n), fmt.Sprint("name", n), password)
			results <- err
		}()
	}
	for range cap(results) - hashesWaiting {
		d.refuses(t, "a login too many", <-results, ErrBusy)
	}
	cancel()
	trying.Wait()
	d.verifier.places.Release(hashesAtOnce)
	d.login(t, "anna")
}

func TestSessionsAreBoundedAndTheOldestGivesWay(t *testing.T) {
	s := newSessions(time.Hour, time.Hour)
	anna, begun := &Account{Name: "anna"}, time.Now()
	first := s.begin(anna, begun)
	for n := range sessionsPerAccount {
		s.begin(anna, begun.Add(time.Duration(n+1)*time.Second))
	}
	if len(s.byKey) != sessionsPerAccount || s.find(first, begun) != nil {
		t.Errorf("%d sessions of one account; the oldest is there: %t", len(s.byKey), s.find(first, begun) != nil)
	}
	for n := range sessionsMost {
		s.begin(&Account{Name: fmt.Sprint(n)}, begun)
	}
	if len(s.byKey) != sessionsMost {
		t.Errorf("%d sessions, want %d", len(s.byKey), sessionsMost)
	}
}

func TestTheRunTokenLooksAndDoesNothingElse(t *testing.T) {
	d := openDoor(t)
	_, err := d.ByToken(context.Background(), home, "")
	d.refuses(t, "no run token, and an empty one sent", err, ErrUnknown)
	d.settings.RunToken = "of-visavis-run"
	who, err := d.ByToken(context.Background(), home, "of-visavis-run")
	if err != nil || who.Role != Viewer || !who.SeesAll() {
		t.Errorf("the run token is of %+v, %v", who, err)
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
