// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
