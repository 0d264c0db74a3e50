// SPDX-License-Identifier: Apache-2.0

package source

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"visavis/capture/internal/ports"
)

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
	for _, s := range []Settings{{URI: "rtsp://" + ports.Free(t).String() + "/none"}, {URI: "v4l2:" + node, Reader: "opencv"}} {
		if _, err := Open(t.Context(), s); err == nil {
			t.Errorf("%s is opened", s.URI)
		}
	}
	if after := os.Environ(); !slices.Equal(before, after) {
		t.Errorf("the environment was %q and is %q", before, after)
	}
}
