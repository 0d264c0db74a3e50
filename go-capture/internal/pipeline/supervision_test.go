// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"testing"

	"visavis/capture/internal/web"
)

func seen(id, state string, captured uint64) web.CameraStatus {
	return web.CameraStatus{ID: id, State: state, Frames: web.Frames{Captured: captured}}
}

func TestACameraThatStandsStillIsNamed(t *testing.T) {
	looks := []struct {
		cameras []web.CameraStatus
		stuck   string
	}{
		{[]web.CameraStatus{seen("door", web.CameraOnline, 10), seen("yard", web.CameraLost, 3)}, ""},
		{[]web.CameraStatus{seen("door", web.CameraOnline, 20), seen("yard", web.CameraLost, 3)}, ""},
		{[]web.CameraStatus{seen("door", web.CameraOnline, 20), seen("yard", web.CameraOnline, 4)}, "camera door"},
		{[]web.CameraStatus{seen("door", web.CameraLost, 20), seen("yard", web.CameraOnline, 5)}, ""},
		// Started again: it counts from its first look on.
		{[]web.CameraStatus{seen("door", web.CameraOnline, 20), seen("yard", web.CameraOnline, 6)}, ""},
		{[]web.CameraStatus{seen("door", web.CameraOnline, 20), seen("yard", web.CameraOnline, 7)}, "camera door"},
	}
	moves := pulse{}
	for i, look := range looks {
		if got := moves.stuck(look.cameras); got != look.stuck {
			t.Errorf("look %d: %q stands still, want %q", i, got, look.stuck)
		}
	}
}
