// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"visavis/capture/internal/waiting"
)

func TestTheLatestVersionIsWhatAnUpdaterWroteDown(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("VISAVIS_STATE_DIR", folder)
	if got := latestVersion(); got != "" {
		t.Errorf("without a file: %q", got)
	}
	for text, want := range map[string]string{"1.2.3\n": "1.2.3", "1:2\n": "", "": "", "{{ x }}": "", strings.Repeat("9", 65): "", "2.0~rc1+b.4": "2.0~rc1+b.4"} {
		if err := os.WriteFile(filepath.Join(folder, latestFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := latestVersion(); got != want {
			t.Errorf("%q is read as %q", text, got)
		}
	}
}

func TestBrokersAreToldOfTheLatestVersionAtOnceAndOfANewerOne(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("VISAVIS_STATE_DIR", folder)
	write := func(version string) {
		if err := os.WriteFile(filepath.Join(folder, latestFile), []byte(version), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("1.2.3")
	a := configured(t)
	ctx, end := context.WithCancel(context.Background())
	a.latest.begin(ctx)
	if got := a.info().Latest; got != "1.2.3" {
		t.Errorf("at first %q", got)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.latest.watch(ctx) }()
	write("1.2.4")
	waiting.Until(t, "the newer one is told", func() bool { return a.info().Latest == "1.2.4" })
	end()
	waiting.For(t, "it ends", ended)
}
