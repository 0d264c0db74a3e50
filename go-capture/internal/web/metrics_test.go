// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/engine"
)

// oneStep is a View of a camera with a zone and a line.
type oneStep struct{ oneCamera }

func (oneStep) Status() Status {
	return Status{Device: "box", Engine: &engine.State{State: engine.Failed}, Cameras: []CameraStatus{{
		ID: "door", State: CameraOnline, Detecting: true, Faces: 2, Occupied: true, USBResets: 5,
		Zones: []ZoneStatus{{Name: "step", Faces: 1, Occupied: true, Entered: 7, Left: 6}},
		Lines: []LineStatus{{Name: "sill", In: 4, Out: 3}},
	}, {ID: "yard", State: CameraOff}}}
}

func TestMetricsTellOfResetsOfOccupancyOfZonesAndOfLines(t *testing.T) {
	r := serveSettings(t, Settings{Listen: "127.0.0.1:0", WriteTimeout: 2 * time.Second}, oneStep{})
	_, body := r.ask(t, http.MethodGet, "/metrics", http.Header{})
	for _, line := range []string{
		`visavis_camera_usb_resets_total{camera="door"} 5`,
		`visavis_camera_enabled{camera="door"} 1`,
		`visavis_camera_enabled{camera="yard"} 0`,
		`visavis_camera_detecting{camera="door"} 1`,
		`visavis_camera_detecting{camera="yard"} 0`,
		`visavis_engine_failed 1`,
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

// twoNamesakes is a View of workers with a model server, two of them under one name, and of one without.
type twoNamesakes struct{ oneCamera }

func (twoNamesakes) Status() Status {
	return Status{Device: "box", Workers: []Worker{
		{ID: 1, Name: "worker-1", Server: &ServerState{Losses: 2, LocalFrames: 301}},
		{ID: 2, Name: "worker-2", Server: &ServerState{}},
		{ID: 3, Name: "worker-1", Server: &ServerState{Losses: 1, LocalFrames: 9}},
		{ID: 4, Name: "worker-3"},
	}}
}

func TestMetricsTellHowTheServersOfWorkersDid(t *testing.T) {
	r := serveSettings(t, Settings{Listen: "127.0.0.1:0", WriteTimeout: 2 * time.Second}, twoNamesakes{})
	_, body := r.ask(t, http.MethodGet, "/metrics", http.Header{})
	for _, line := range []string{
		`visavis_server_losses_total{worker="worker-1"} 3`, `visavis_server_local_frames_total{worker="worker-1"} 310`,
		`visavis_server_losses_total{worker="worker-2"} 0`, `visavis_server_local_frames_total{worker="worker-2"} 0`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("%s is missing", line)
		}
	}
	if strings.Contains(body, "worker-3") {
		t.Error("a worker without a server has figures of one")
	}
}

func TestEveryAnswerIsCountedByItsRouteAndStatus(t *testing.T) {
	r := serve(t)
	for path, times := range map[string]int{"/healthz": 3, "/nowhere": 2} {
		for range times {
			r.ask(t, http.MethodGet, path, nil)
		}
	}
	r.ask(t, http.MethodDelete, "/healthz", nil)
	r.ask(t, http.MethodGet, "/healthz", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"cors"}, "Origin": {"http://evil.example"}})
	_, body := r.ask(t, http.MethodGet, "/metrics", nil)
	for _, line := range []string{
		`{code="200",route="/healthz"} 3`, `{code="405",route="/healthz"} 1`, `{code="404",route="other"} 2`,
		`{code="403",route="other"} 1`,
	} {
		if !strings.Contains(body, "\nvisavis_requests_total"+line+"\n") {
			t.Errorf("visavis_requests_total%s is missing", line)
		}
	}
	if n := strings.Count(body, "\nvisavis_requests_total{"); n != 4 {
		t.Errorf("%d pairs of a route and a status, want 4", n)
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
