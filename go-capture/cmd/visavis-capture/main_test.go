// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWhoAsksForHelpIsHelpedAndWhoErrsIsTold(t *testing.T) {
	for arguments, want := range map[string]int{"-h": 0, "-help": 0, "-nosuch": exitWrongUse} {
		var told bytes.Buffer
		if got := run([]string{arguments}, &told, &told); got != want {
			t.Errorf("%s ends with %d, want %d", arguments, got, want)
		}
		if !strings.Contains(told.String(), "visavis-capture -config") {
			t.Errorf("%s says %q", arguments, told.String())
		}
	}
}

func TestAFileWithoutItsOptionIsNotPassedOver(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.toml")
	if err := os.WriteFile(bad, []byte("[nonsense]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range [][]string{{bad}, {"-check", bad}, {"-effective", bad}} {
		var told bytes.Buffer
		if got := run(arguments, &told, &told); got != exitWrongUse || !strings.Contains(told.String(), "-config") {
			t.Errorf("%v ends with %d and says %q", arguments, got, told.String())
		}
	}
}

func TestBothQuestionsAreAnsweredFromOneReading(t *testing.T) {
	file := filepath.Join(t.TempDir(), "\x1bconfig.toml")
	files := map[string]string{file: "[mqtt]\nurl = \"mqtts://box\"\nca = \"ca.pem\"\n", filepath.Join(filepath.Dir(file), "ca.pem"): "none"}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, one := range []struct {
		words string
		warns bool
	}{{"-check -effective", true}, {"-effective", false}, {"-check -effective -no-credentials", false}} {
		var settings, told bytes.Buffer
		if got := run(append([]string{"-config", file}, strings.Fields(one.words)...), &settings, &told); got != 0 {
			t.Errorf("%s ends with %d: %s", one.words, got, told.String())
		}
		if !strings.Contains(settings.String(), `"mqtts://box"`) {
			t.Errorf("%s prints %q", one.words, settings.String())
		}
		if warned := strings.Contains(told.String(), fmt.Sprintf("visavis: warning, %q: mqtt.ca", file)); warned != one.warns {
			t.Errorf("%s says %q", one.words, told.String())
		}
	}
}

func TestACrashLeavesNoPictureOnTheDisk(t *testing.T) {
	var before, after unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &before); err != nil {
		t.Fatal(err)
	}
	if before.Max == 0 {
		t.Skip("whoever started the tests has forbidden core files for good")
	}
	before.Cur = before.Max
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &before); err != nil {
		t.Fatal(err)
	}
	if err := leaveNoCore(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &after); err != nil {
		t.Fatal(err)
	}
	if after.Cur != 0 || after.Max != before.Max {
		t.Errorf("a core file may have %d bytes, %d if somebody asks for it", after.Cur, after.Max)
	}
}

func TestACrashThatIsPipedToAProgramHoldsNoMemory(t *testing.T) {
	if err := os.WriteFile(dumpFilter, []byte("0x33"), 0); err != nil {
		t.Fatal(err)
	}
	if err := leaveNoCore(); err != nil {
		t.Fatal(err)
	}
	if held, err := os.ReadFile(dumpFilter); err != nil || string(held) != "00000000\n" {
		t.Errorf("a crash writes out the kinds of memory %q: %v", held, err)
	}
}

func TestARefusedConfigurationEndsTheDaemonWithTheStatusThatItsUnitKnows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(file, []byte("[web]\nlisten = 8080\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for more, want := range map[string]int{"": exitRefused, "-check": exitWrongUse, "-effective": exitWrongUse} {
		var told bytes.Buffer
		if got := run(append([]string{"-config", file}, strings.Fields(more)...), &told, &told); got != want {
			t.Errorf("with %q it ends with %d, want %d", more, got, want)
		}
		if !strings.HasPrefix(told.String(), file+":2: web.listen: ") {
			t.Errorf("with %q it says %q", more, told.String())
		}
	}
	unit, err := os.ReadFile("../../../systemd/visavis-capture.service")
	if want := fmt.Sprintf("\nRestartPreventExitStatus=%d\n", exitRefused); err != nil || !strings.Contains(string(unit), want) {
		t.Errorf("the unit does not say %q: %v", want, err)
	}
}
