// SPDX-License-Identifier: Apache-2.0

package clock

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// board is a machine that runs systemd-timesyncd and has no clock with a battery, and the watch on it.
func board(t *testing.T) (w *Watch, service, batteries string) {
	t.Helper()
	service, batteries = filepath.Join(t.TempDir(), "timesync"), filepath.Join(t.TempDir(), "rtc")
	create(t, service, batteries)
	return NewWatch(service, batteries), service, batteries
}

func create(t *testing.T, folders ...string) {
	t.Helper()
	for _, folder := range folders {
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

func late(w *Watch) time.Time { return w.began.Add(patience) }

func TestAClockThatNobodySetsIsToldUntilSomebodyDoes(t *testing.T) {
	w, service, _ := board(t)
	if w.Look(late(w).Add(-time.Second)); w.Fault() != "" {
		t.Fatalf("%s, while the network may still come", w.Fault())
	}
	if w.Look(late(w)); !strings.Contains(w.Fault(), "/etc/systemd/timesyncd.conf") {
		t.Fatalf("%q does not say what to do", w.Fault())
	}
	create(t, filepath.Join(service, "synchronized"))
	if w.Look(late(w)); w.Fault() != "" {
		t.Fatalf("%s, though it was set", w.Fault())
	}
}

func TestAClockIsBelievedThatItsBatteryHasKept(t *testing.T) {
	for says, kept := range map[string]bool{
		fmt.Sprintln(time.Now().Unix()):                                  true,
		fmt.Sprintln(time.Now().Add(8 * time.Hour).Unix()):               true,  // local time
		fmt.Sprintln(time.Date(2000, 1, 1, 0, 1, 0, 0, time.UTC).Unix()): false, // a Raspberry Pi 5 without its battery
		"": false,
	} {
		w, _, batteries := board(t)
		rtc := filepath.Join(batteries, "rtc0")
		create(t, rtc)
		if err := os.WriteFile(filepath.Join(rtc, "since_epoch"), []byte(says), 0o600); err != nil {
			t.Fatal(err)
		}
		if w.Look(late(w)); (w.Fault() == "") != kept {
			t.Errorf("%q: %q", says, w.Fault())
		}
	}
}

func TestWhereAnotherProgramSetsTheClockNothingIsKnown(t *testing.T) {
	w := NewWatch(filepath.Join(t.TempDir(), "no"), filepath.Join(t.TempDir(), "neither"))
	if w.Look(late(w)); w.Fault() != "" {
		t.Fatal(w.Fault())
	}
}
