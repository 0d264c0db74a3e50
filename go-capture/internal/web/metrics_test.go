// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// oneStep is a View of a camera with a zone and a line.
type oneStep struct{ oneCamera }

func (oneStep) Status() Status {
	return Status{Device: "box", Cameras: []CameraStatus{{
		ID: "door", State: CameraOnline, Faces: 2, Occupied: true,
		Zones: []ZoneStatus{{Name: "step", Faces: 1, Occupied: true, Entered: 7, Left: 6}},
		Lines: []LineStatus{{Name: "sill", In: 4, Out: 3}},
	}}}
}

func TestMetricsTellOfOccupancyOfZonesAndOfLines(t *testing.T) {
	r := serveSettings(t, Settings{Listen: "127.0.0.1:0", WriteTimeout: 2 * time.Second}, oneStep{})
	_, body := r.ask(t, http.MethodGet, "/metrics", http.Header{})
	for _, line := range []string{
		`visavis_occupied{camera="door"} 1`,
		`visavis_zone_faces{camera="door",zone="step"} 1`,
		`visavis_zone_occupied{camera="door",zone="step"} 1`,
		`visavis_zone_entered_total{camera="door",zone="step"} 7`,
		`visavis_line_crossed_total{camera="door",direction="in",line="sill"} 4`,
		`visavis_line_crossed_total{camera="door",direction="out",line="sill"} 3`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
}

func TestMetricsTellEachStateOfWorkers(t *testing.T) {
	r := serve(t)
	_, body := r.ask(t, http.MethodGet, "/metrics", http.Header{})
	for _, line := range []string{`{state="idle"} 1`, `{state="busy"} 0`, `{state="paused"} 0`} {
		if !strings.Contains(body, "\nvisavis_workers"+line+"\n") {
			t.Errorf("visavis_workers%s is missing", line)
		}
	}
	if n := strings.Count(body, "\nvisavis_workers{"); n != 3 {
		t.Errorf("%d states of workers, want 3", n)
	}
}
