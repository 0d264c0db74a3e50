// SPDX-License-Identifier: Apache-2.0

package logtest

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestWhatIsLoggedAfterATestIsNotHeardByIt(t *testing.T) {
	var heard bytes.Buffer
	t.Run("hears", func(t *testing.T) {
		Hear(t, slog.NewTextHandler(&heard, nil))
		slog.Info("meanwhile")
	})
	slog.Info("afterwards")
	if said := heard.String(); !strings.Contains(said, "meanwhile") || strings.Contains(said, "afterwards") {
		t.Errorf("it heard %q", said)
	}
}
