// SPDX-License-Identifier: Apache-2.0

package state

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"visavis/capture/internal/logtest"
)

func TestAFaultIsSaidWhenItBeginsAndWhenItEnds(t *testing.T) {
	var log bytes.Buffer
	logtest.Hear(t, slog.NewTextHandler(&log, nil))

	fault := NewFault(slog.String("folder", "/somewhere"), "nothing is kept", "kept again")
	for _, err := range []error{nil, errors.New("full"), errors.New("full"), errors.New("read-only"), nil, nil} {
		fault.Note(err)
		if want := err != nil; (fault.Now() != "") != want {
			t.Errorf("after %v it is %q", err, fault.Now())
		}
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `msg="nothing is kept" folder=/somewhere error=full`) ||
		!strings.Contains(lines[1], `msg="kept again" folder=/somewhere`) {
		t.Errorf("the log says\n%s", log.String())
	}
}
