// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// restarted is the gate of a daemon that ended in order and was started again, `off` later.
func (d *door) restarted(t *testing.T, off time.Duration) *door {
	t.Helper()
	d.end()
	return d.startedAgain(t, off)
}

// end is what Run does when the daemon ends.
func (d *door) end() {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_ = d.Run(ended)
}

func (d *door) startedAgain(t *testing.T, off time.Duration) *door {
	t.Helper()
	again := &door{file: d.file, time: d.time.Add(off)}
	settings := d.settings
	settings.now = func() time.Time { return again.time }
	gate, err := Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	again.Gate = gate
	return again
}

func keptDoor(t *testing.T) *door {
	t.Helper()
	d := openDoor(t)
	d.settings.Sessions = filepath.Join(t.TempDir(), "sessions", "box.json")
	d.addAnna(t)
	return d.startedAgain(t, 0)
}

func TestASessionOutlivesTheDaemonAndItsFileHoldsNoCookie(t *testing.T) {
	d := keptDoor(t)
	cookie := d.login(t, "anna")
	again := d.restarted(t, time.Minute)
	who, err := again.BySession(cookie)
	if err != nil || who.Name != "anna" || who.Role != Admin {
		t.Fatalf("after the restart: %v, %v", who, err)
	}
	text, err := os.ReadFile(d.settings.Sessions)
	if err != nil || strings.Contains(string(text), cookie) || strings.Contains(string(text), password) {
		t.Errorf("the file: %s, %v", text, err)
	}
	info, err := os.Stat(d.settings.Sessions)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode: %v, %v", info.Mode(), err)
	}
}

func TestTimeGoesOnWhileTheDaemonIsOff(t *testing.T) {
	d := keptDoor(t)
	cookie := d.login(t, "anna")
	for off, want := range map[time.Duration]error{59 * time.Minute: nil, time.Hour: ErrUnknown, -time.Minute: nil, -time.Hour: ErrUnknown} {
		if _, err := d.restarted(t, off).BySession(cookie); err != want {
			t.Errorf("off for %v: %v, want %v", off, err, want)
		}
	}
	again := d.restarted(t, 30*time.Minute)
	again.time = again.time.Add(31 * time.Minute)
	if _, err := again.BySession(cookie); err != ErrUnknown {
		t.Errorf("not used for 61 minutes, half of them off: %v", err)
	}
}

func TestAClockThatIsSetJustBeforeADaemonIsKilledEndsNoSession(t *testing.T) {
	for _, step := range []time.Duration{10 * 24 * time.Hour, -8 * time.Hour} {
		d := keptDoor(t)
		cookie := d.login(t, "anna")
		d.keepSessions(false)
		d.settings.timeOfDay = func(now time.Time) time.Time { return now.Add(step) }
		d.time = d.time.Add(2 * time.Second)
		d.keepSessions(false) // and the power goes
		again := d.startedAgain(t, step+time.Minute)
		if _, err := again.BySession(cookie); err != nil {
			t.Errorf("the clock was set by %v, and a minute later: %v", step, err)
		}
	}
}

func TestWhoLoggedOutOrWasChangedMeanwhileIsNotLetInByTheNextDaemon(t *testing.T) {
	d := keptDoor(t)
	left, stays := d.login(t, "anna"), d.login(t, "anna")
	d.keepSessions(false)
	if err := d.Logout(left); err != nil {
		t.Fatal(err)
	}
	again := d.startedAgain(t, time.Second) // as after a kill: nobody wrote anything at the end
	_, err := again.BySession(left)
	d.refuses(t, "who logged out", err, ErrUnknown)
	if _, err := again.BySession(stays); err != nil {
		t.Errorf("who did not: %v", err)
	}
	if err := d.file.SetPassword("anna", "another horse battery"); err != nil {
		t.Fatal(err)
	}
	_, err = d.startedAgain(t, time.Second).BySession(stays)
	d.refuses(t, "a session of the old password", err, ErrUnknown)
}

func TestWhoLoggedOutWhileTheDiskTookNothingIsNotLetInByTheNextDaemon(t *testing.T) {
	d := keptDoor(t)
	left, stays := d.login(t, "anna"), d.login(t, "anna")
	d.keepSessions(false)
	blocker := d.settings.Sessions + ".new" // where what is written lies until it is whole
	if err := os.MkdirAll(filepath.Join(blocker, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.Logout(left); err != nil || d.Fault() == "" {
		t.Errorf("%v, and the status says %q", err, d.Fault())
	}
	_, err := d.startedAgain(t, time.Second).BySession(left) // as after a kill
	d.refuses(t, "who logged out", err, ErrUnknown)
	if err := os.RemoveAll(blocker); err != nil {
		t.Fatal(err)
	}
	d.keepSessions(false)
	if _, err := d.startedAgain(t, time.Second).BySession(stays); err != nil {
		t.Errorf("once the disk takes something again, who did not log out: %v", err)
	}
}

func TestALogoutThatWouldNotLastIsAnError(t *testing.T) {
	d := keptDoor(t)
	cookie := d.login(t, "anna")
	if err := os.MkdirAll(filepath.Join(d.settings.Sessions, "stuck"), 0o700); err != nil { // neither written nor removed
		t.Fatal(err)
	}
	if err := d.Logout(cookie); err == nil || !strings.Contains(err.Error(), d.settings.Sessions) {
		t.Errorf("%v", err)
	}
	_, err := d.BySession(cookie)
	d.refuses(t, "the session", err, ErrUnknown)
}

func TestADamagedFileOfSessionsLogsEverybodyOutAndNothingElse(t *testing.T) {
	d := keptDoor(t)
	cookie := d.login(t, "anna")
	d.end()
	whole, err := os.ReadFile(d.settings.Sessions)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"", "{}", "null", `[{"key":"00"}]`, string(whole[:len(whole)-9]), strings.ReplaceAll(string(whole), `"key":"`, `"key":"zz`),
		string(whole) + strings.Repeat(" ", fileBytesMost)} {
		if err := os.WriteFile(d.settings.Sessions, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		again := d.startedAgain(t, time.Second)
		_, err := again.BySession(cookie)
		d.refuses(t, text, err, ErrUnknown)
		if _, err := again.BySession(again.login(t, "anna")); err != nil {
			t.Errorf("a new login after %q: %v", text, err)
		}
	}
}
