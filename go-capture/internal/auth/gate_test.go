// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
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
