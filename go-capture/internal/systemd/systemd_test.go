// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"log/slog"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/journal"

	"visavis/capture/internal/systemdtest"
)

func TestSystemdIsToldInItsOwnWords(t *testing.T) {
	next := systemdtest.Told(t)
	for want, say := range map[string]func() error{
		"READY=1": Ready, "STOPPING=1": Stopping, "WATCHDOG=1": Alive,
		"STATUS=1 of 2 cameras": func() error { return Status("1 of 2\ncameras") },
	} {
		if err := say(); err != nil {
			t.Fatal(err)
		}
		if got := next(); got != want {
			t.Errorf("told %q, want %q", got, want)
		}
	}
}

func TestWithoutSystemdNothingIsSaid(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("LISTEN_PID", "")
	t.Setenv("WATCHDOG_USEC", "")
	if err := Ready(); err != nil {
		t.Error(err)
	}
	if listener, err := Listener("frames"); listener != nil || err != nil {
		t.Errorf("got %v, %v", listener, err)
	}
	if period, err := WatchdogPeriod(); period != 0 || err != nil {
		t.Errorf("got %v, %v", period, err)
	}
}

func TestTheSignOfLifeComesTwiceInWhatTheUnitAllows(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "10000000")
	t.Setenv("WATCHDOG_PID", "")
	if period, err := WatchdogPeriod(); period != 5*time.Second || err != nil {
		t.Errorf("got %v, %v", period, err)
	}
}

func TestTheJournalGetsAttributesAsFields(t *testing.T) {
	type entry struct {
		message  string
		priority journal.Priority
		fields   map[string]string
	}
	var got entry
	handler := &Journal{send: func(message string, priority journal.Priority, fields map[string]string) error {
		got = entry{message, priority, fields}
		return nil
	}}
	log := slog.New(handler).With("camera", "door")
	log.Debug("not for the journal")
	if got.message != "" {
		t.Fatalf("debugging came through: %v", got)
	}
	log.Warn("camera lost, trying again", "error", `no "picture"`)
	if got.message != `camera lost, trying again camera=door error="no \"picture\""` || got.priority != journal.PriWarning {
		t.Errorf("got %q at %d", got.message, got.priority)
	}
	want := map[string]string{
		"VISAVIS_CAMERA": "door", "VISAVIS_ERROR": `no "picture"`, "MESSAGE_ID": messageIDs["camera lost, trying again"],
	}
	for name, value := range want {
		if got.fields[name] != value || value == "" {
			t.Errorf("%s is %q, want %q", name, got.fields[name], value)
		}
	}
}

func TestWhatComesFromOutsideMakesNoLineOfItsOwn(t *testing.T) {
	var got string
	handler := &Journal{send: func(message string, _ journal.Priority, _ map[string]string) error {
		got = message
		return nil
	}}
	for value, want := range map[string]string{
		"/\nlogin": `"/\nlogin"`, "/\x1b[2J": `"/\x1b[2J"`, "/\u202efdp": `"/\u202efdp"`, "/\xff": `"/\xff"`, "/tür": "/tür", "": `""`,
	} {
		slog.New(handler).Info("request answered", "path", value)
		if got != "request answered path="+want {
			t.Errorf("%q: %q, want path=%s", value, got, want)
		}
	}
}
