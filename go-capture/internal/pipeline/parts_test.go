// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/config"
	"visavis/capture/internal/waiting"
)

// faultsOf are the errors of the parts by their names.
func faultsOf(a *Appliance) map[string]string {
	found := map[string]string{}
	for _, part := range (*view)(a).Status().Parts {
		found[part.Name] = part.Error
	}
	return found
}

func TestWhatTheLogHasToldOnceStaysInTheStatus(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("VISAVIS_STATE_DIR", folder)
	for _, name := range []string{"history", "outbox", "thumbnails", "certificates"} { // files in the way: root may do anything else
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := configured(t, "VISAVIS_WEB__HTTPS=true", "VISAVIS_AUTH__ENABLED=true", "VISAVIS_HISTORY__THUMBNAILS_MB=1")
	closeEvents, err := a.keepEvents()
	if err != nil {
		t.Fatalf("a disk that takes nothing ends the daemon: %v", err)
	}
	defer func() { _ = closeEvents() }() // says what this test has made
	broken := []string{"history", "outbox of mqtt", "pictures of events", "certificate of the page"}
	waiting.Until(t, "the painter has looked", func() bool { return faultsOf(a)["pictures of events"] != "" })
	faults := faultsOf(a)
	for _, part := range broken {
		if !strings.Contains(faults[part], "not a directory") {
			t.Errorf("the %s: %q", part, faults[part])
		}
	}
	for _, part := range []string{"orders", "logins"} {
		if fault, told := faults[part]; !told || fault != "" {
			t.Errorf("the %s: %q, told %t", part, fault, told)
		}
	}
}

// A reload that is refused is one line of the log, and a file that nobody reloads not even that.
func TestAConfigurationThatIsSpoiltStaysInTheStatusUntilItIsMended(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.toml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	a := ofFile(t, file)
	a.RereadWith(func() (*config.Config, error) { return config.Program{Starts: true}.Load(file, nil, nil) })
	for _, step := range []struct{ text, told string }{
		{"", ""}, {"[web]\nlisten = 8080\n", "web.listen: "}, {"[mqtt]\nurl = \"mqtts://x\"\nca = \"gone.pem\"\n", ""}, {"", ""},
	} {
		write(step.text)
		a.reread.look()
		if said := faultsOf(a)["configuration"]; (said == "") != (step.told == "") || !strings.Contains(said, step.told) {
			t.Errorf("%q: %q", step.text, said)
		}
	}
	a.Refused(errors.New("no good"))
	if said := faultsOf(a)["configuration"]; !strings.Contains(said, "no good") {
		t.Errorf("a reload that was refused: %q", said)
	}
}

// TestALookThatStandsStillHoldsUpNobodyWhoEnds: the configuration may lie on a share, and the state on a disk, that hangs.
func TestALookThatStandsStillHoldsUpNobodyWhoEnds(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("VISAVIS_STATE_DIR", folder)
	pipe := filepath.Join(folder, latestFile)
	if err := unix.Mkfifo(pipe, 0o600); err != nil { // whoever opens it waits for somebody who writes
		t.Fatal(err)
	}
	a, never, reads := configured(t), make(chan struct{}), make(chan struct{}, 1)
	defer close(never)
	a.RereadWith(func() (*config.Config, error) { reads <- struct{}{}; <-never; return nil, nil })
	a.latest.begin(context.Background()) // returns, too
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- a.watchParts(ctx) }()
	go func() { ended <- a.latest.watch(ctx) }()
	waiting.For(t, "the configuration is read", reads)
	time.Sleep(latestLook + 100*time.Millisecond) // then the version is looked at again
	end()
	for range 2 {
		if err := waiting.For(t, "the daemon goes on", ended); err != nil {
			t.Error(err)
		}
	}
	for { // those who waited read nothing, and end
		writer, err := os.OpenFile(pipe, os.O_WRONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			break
		}
		_ = writer.Close()
		time.Sleep(10 * time.Millisecond)
	}
}
