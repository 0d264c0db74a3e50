// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// edit changes the file of accounts as its owner may, in an editor.
func (d *door) edit(t *testing.T, old, new string) {
	t.Helper()
	text, err := os.ReadFile(d.file.Path)
	if err != nil || !strings.Contains(string(text), old) {
		t.Fatalf("%v %s", err, text)
	}
	if err := os.WriteFile(d.file.Path, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestWhoseRoleOrCamerasAreEditedLosesTheOldOnesAtOnce(t *testing.T) {
	for old, new := range map[string]string{"'admin'": "'viewer'", "cameras = ['*']": "cameras = ['yard']"} {
		d := openDoor(t)
		d.addAnna(t)
		cookie := d.login(t, "anna")
		d.edit(t, old, new)
		_, err := d.BySession(cookie)
		d.refuses(t, "the session of before "+new, err, ErrUnknown)
		who, err := d.BySession(d.login(t, "anna"))
		if err != nil || who.Role == Admin && who.SeesAll() {
			t.Errorf("%s: %+v %v", new, who, err)
		}
	}
}

func TestARevocationIsSeenByTheNextAnswer(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	cookie := d.login(t, "anna")
	who, _ := d.BySession(cookie)
	open, release := d.Hold(context.Background(), who)
	defer release()
	if err := d.file.Revoke("anna"); err != nil {
		t.Fatal(err)
	}
	_, _ = d.BySession(cookie) // no look
	if open.Err() == nil {
		t.Error("what is open goes on")
	}
	if len(d.sessions.byKey) != 0 {
		t.Error("its session stays")
	}
}

func TestWhoIsRevokedWhileAPasswordIsCheckedIsNotLetIn(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	token := ""
	d.look()
	account := d.book.byName["anna"]
	token = d.add(t, Wanted{Name: "robot", Role: "viewer"})
	d.look()
	robot := d.book.byName["robot"]
	if err := errors.Join(d.file.Revoke("anna"), d.file.Revoke("robot")); err != nil {
		t.Fatal(err)
	}
	d.look()
	if cookie := d.welcome(account, home); cookie != "" {
		t.Error("a session begins for somebody who was revoked while the password was checked")
	}
	if d.trust(token, robot) || d.known(d.sealOf(token)) != nil {
		t.Error("a token is trusted that was revoked while it was checked")
	}
}

func TestASessionIsIdleFromTheEndOfItsStreamOn(t *testing.T) {
	d := openDoor(t)
	d.addAnna(t)
	cookie := d.login(t, "anna")
	who, _ := d.BySession(cookie)
	_, release := d.Hold(context.Background(), who)
	d.time = d.time.Add(2 * time.Hour)
	release()
	if len(d.held) != 0 {
		t.Error("what has ended is kept")
	}
	d.time = d.time.Add(59 * time.Minute)
	if _, err := d.BySession(cookie); err != nil {
		t.Error("59 minutes after her stream:", err)
	}
	_, release = d.Hold(context.Background(), who)
	release()
	d.time = d.time.Add(time.Hour)
	_, err := d.BySession(cookie)
	d.refuses(t, "an hour after her stream", err, ErrUnknown)
}

func TestRestartsMakeNoSessionLonger(t *testing.T) {
	d := keptDoor(t)
	cookie := d.login(t, "anna")
	for range 25 {
		d = d.restarted(t, 58*time.Minute)
		_, _ = d.BySession(cookie) // she uses it, which keeps it from being idle
	}
	_, err := d.BySession(cookie)
	d.refuses(t, "a session of a day, with restarts", err, ErrUnknown)
}

func TestWhoWatchedUntilARestartIsNotIdle(t *testing.T) {
	d := keptDoor(t)
	cookie := d.login(t, "anna")
	who, _ := d.BySession(cookie)
	_, release := d.Hold(context.Background(), who)
	defer release()
	d.time = d.time.Add(2 * time.Hour)
	if _, err := d.restarted(t, time.Minute).BySession(cookie); err != nil {
		t.Error("who watched until the restart:", err)
	}
}

func TestEveryUsedCodeIsRemembered(t *testing.T) {
	d := openDoor(t)
	for _, code := range []string{"ABCD-EFGH", "JKLM-NPQR"} {
		d.offer(t, code)
		if err := d.claimAs("anna", code); err != nil {
			t.Fatal(err)
		}
		if err := d.file.Revoke("anna"); err != nil {
			t.Fatal(err)
		}
	}
	d.refuses(t, "the first of two", d.OfferKnownClaim("ABCD-EFGH"), ErrUsed)
	if err := os.Remove(d.file.Path + ".claimed"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(d.file.Path+".claimed", 0o700); err != nil {
		t.Fatal(err)
	}
	if d.OfferKnownClaim("ABCD-EFGH") == nil {
		t.Error("a code counts though nobody can tell whether it was used")
	}
}
