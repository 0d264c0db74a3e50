// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWhoFailsAgainAndAgainIsStartedEverLessOften(t *testing.T) {
	folder := t.TempDir()
	var pauses []time.Duration
	fails := func(after time.Duration) {
		var slept time.Duration
		if err := holdBack(folder, after, func(pause time.Duration) { slept += pause / time.Second }); err != nil {
			t.Fatal(err)
		}
		pauses = append(pauses, slept)
	}
	for range 8 {
		fails(time.Second)
	}
	if want := []time.Duration{0, 1, 3, 7, 15, 29, 29, 29}; !slices.Equal(pauses, want) {
		t.Errorf("it waited %d s, want %d", pauses, want)
	}
	pauses = nil
	fails(time.Hour)
	fails(time.Second)
	if want := []time.Duration{0, 1}; !slices.Equal(pauses, want) {
		t.Errorf("after an hour that went well it waited %d s, want %d", pauses, want)
	}
}

func TestAFolderThatCannotBeUsedIsToldAndHoldsNobodyBack(t *testing.T) {
	never := func(time.Duration) { t.Error("it waited") }
	if err := holdBack(filepath.Join(t.TempDir(), "none"), 0, never); err == nil {
		t.Error("no error")
	}
	if err := holdBack("", 0, never); err != nil {
		t.Errorf("without systemd: %v", err)
	}
}

func TestADaemonWhosePortIsTakenCountsIt(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	folder := t.TempDir()
	t.Setenv("RUNTIME_DIRECTORY", folder)
	t.Setenv("VISAVIS_STATE_DIR", t.TempDir())
	t.Setenv("VISAVIS_WEB__LISTEN", taken.Addr().String())
	t.Setenv("VISAVIS_MQTT__URL", "")
	t.Setenv("VISAVIS_WORKER__SOCKET", filepath.Join(t.TempDir(), "frames.sock"))
	var told bytes.Buffer
	if got := run(nil, &told, &told); got != exitFailed || !strings.Contains(told.String(), "is taken by another program; change web.listen") {
		t.Errorf("it ends with %d and says %s", got, &told)
	}
	if count, err := os.ReadFile(filepath.Join(folder, failuresFile)); err != nil || string(count) != "1" {
		t.Errorf("it counted %q: %v", count, err)
	}
}
