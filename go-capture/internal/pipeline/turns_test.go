// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"errors"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/backoff"
	"visavis/capture/internal/web"
)

func TestACameraSaysThatItWaitsForOthersUntilThatIsOver(t *testing.T) {
	p := newPatient(t, nil)
	waits := p.waiting()
	for _, before := range []string{"", "no answer"} {
		was := web.CameraStarting
		if before != "" {
			p.lost(errors.New(before))
			was = web.CameraLost
		}
		waits(errors.New("its turn"))
		if state, reason := p.state(); state != web.CameraLost || reason != "its turn" {
			t.Errorf("while it waits: %s, %q", state, reason)
		}
		waits(nil)
		if state, reason := p.state(); state != was || reason != before {
			t.Errorf("after that: %s, %q; want %s, %q", state, reason, was, before)
		}
	}
	if n := strings.Count(p.log.String(), "its turn"); n != 1 {
		t.Errorf("%d lines of it:\n%s", n, p.log.String())
	}
}

func TestACameraThatKeptOthersWaitingRestsAsLong(t *testing.T) {
	p := newPatient(t, nil)
	p.settings.Source = "rtsp://192.0.2.1/"
	const kept = 50 * time.Millisecond
	began := time.Now()
	if p.rest(t.Context(), backoff.New(1, 1), kept); time.Since(began) < kept {
		t.Errorf("it rests %v", time.Since(began))
	}
}
