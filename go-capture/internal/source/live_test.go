// SPDX-License-Identifier: Apache-2.0

package source

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"visavis/capture/internal/waiting"
)

// guarded are arguments of a network camera that refuses us.
var guarded = []string{"-user", "porch", "-password", "secret"}

// C's getenv, in the threads of the libraries, may read what setenv has just freed.
func TestOpeningACameraLeavesTheEnvironmentAlone(t *testing.T) {
	for name := range toOpenCV {
		t.Setenv(name, "") // restores it
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	before := os.Environ()
	node := filepath.Join(t.TempDir(), "video0")
	if err := os.WriteFile(node, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, s := range []Settings{{URI: newNetworkCamera(t, guarded...).address}, {URI: "v4l2:" + node, Reader: "opencv"}} {
		if _, err := Open(t.Context(), s); err == nil {
			t.Errorf("%s is opened", s.URI)
		}
	}
	if after := os.Environ(); !slices.Equal(before, after) {
		t.Errorf("the environment was %q and is %q", before, after)
	}
}

// Two seconds apart, for as long as the camera is away.
func TestATryToReachACameraWritesNothingPastOurLog(t *testing.T) {
	const uri = "VISAVIS_TEST_OPENS"
	if away := os.Getenv(uri); away != "" {
		if _, err := Open(t.Context(), Settings{URI: away, OpenLimit: waiting.Most, StallLimit: waiting.Most}); err == nil {
			t.Error("it is opened")
		}
		return
	}
	refuses := newNetworkCamera(t, guarded...).address
	for level, quiet := range map[string]bool{"": true, "32": false} {
		again := exec.Command("stdbuf", "-o0", os.Args[0], "-test.run", t.Name()) // Go's exit would drop what waits in a buffer of C's
		again.Env = append(os.Environ(), uri+"="+refuses, ffmpegSays+"="+level)
		said, err := again.CombinedOutput()
		if err != nil || strings.Contains(string(said), "401 Unauthorized") == quiet {
			t.Errorf("level %q: %v: %s", level, err, said)
		}
	}
}
