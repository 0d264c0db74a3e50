// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"visavis/capture/internal/config"
)

// A file that a setting names costs at a start what it costs a daemon that runs: a broker, a certificate, a camera, but not the device.
func TestAFileThatIsMissingForNowKeepsNoDaemonFromStarting(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, []byte("[mqtt]\nurl = \"mqtts://127.0.0.1:1\"\nca = \"gone.pem\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for program, good := range map[config.Program]bool{{Starts: true}: true, {}: false} {
		made, err := program.Load(file, nil, nil)
		if (err == nil) != good {
			t.Errorf("%+v: %v", program, err)
		}
		if good && made.MQTT.CA != filepath.Join(filepath.Dir(file), "gone.pem") {
			t.Errorf("it is looked for in %s", made.MQTT.CA)
		}
	}
	var told bytes.Buffer
	if got := run([]string{"-config", file, "-check"}, &told, &told); got != exitWrongUse || !strings.Contains(told.String(), "mqtt.ca: ") {
		t.Errorf("-check ends with %d: %s", got, told.String())
	}
}

func TestAConfigurationThatADiskDoesNotGiveIsTriedAgain(t *testing.T) {
	for problems, want := range map[*config.Problems]int{
		{{Reason: "input/output error", MayPass: true}}:                      exitFailed,
		{{Reason: "input/output error", MayPass: true}, {Reason: "no good"}}: exitFailed,
		{{Reason: "no good"}}: exitRefused,
	} {
		if got := statusOf(*problems, false); got != want {
			t.Errorf("%v: %d", problems, got)
		}
	}
	if _, err := (config.Program{Starts: true}).Load("/proc/self/mem", nil, nil); statusOf(err, false) != exitFailed { // EIO
		t.Errorf("%v: %d", err, statusOf(err, false))
	}
}

func TestAPasswordInPlaceOfItsFileIsRefusedAtAStartTooAndNotRepeated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.toml")
	for _, text := range []string{
		"[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\nuser = \"me\"\npassword_file = \"hunter2\"\n",
		"[[camera]]\nid = \"door\"\nsource = \"rtsp://box/1\"\nuser = \"me\"\npassword_file = \"hunter2\"\n",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := (config.Program{Starts: true}).Load(file, nil, nil); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
}
