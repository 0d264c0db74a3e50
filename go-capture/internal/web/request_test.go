// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/logtest"
	"visavis/capture/internal/problem"
	"visavis/capture/internal/requestlog"
)

// through sends one request through the whole site, which logs what `which` says, and returns the answer and the log's lines.
func through(t *testing.T, which string, requests ...*http.Request) (*httptest.ResponseRecorder, []map[string]any) {
	t.Helper()
	server, err := New(Settings{Listen: "127.0.0.1:0", Device: "box", Log: requestlog.New(which)}, oneCamera{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.closeStudios()
	var written bytes.Buffer
	logtest.Hear(t, slog.NewJSONHandler(&written, nil))
	var answer *httptest.ResponseRecorder
	for _, request := range requests {
		answer = httptest.NewRecorder()
		server.Handler().ServeHTTP(answer, request)
	}
	var lines []map[string]any
	for decoder := json.NewDecoder(&written); decoder.More(); {
		line := map[string]any{}
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return answer, lines
}

func request(path string, header ...string) *http.Request {
	made := httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil)
	for i := 0; i < len(header); i += 2 {
		made.Header.Add(header[i], header[i+1])
	}
	return made
}

const (
	goodTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	traceID   = "4bf92f3577b34da6a3ce929d0e0e4736"
	parentID  = "00f067aa0ba902b7"
)

func TestARequestIsFoundAgainInItsAnswerItsProblemAndTheLog(t *testing.T) {
	asked := request("/api/v1/cameras/nobody", problem.RequestIDHeader, "shop-17:4", "Traceparent", goodTrace)
	answer, lines := through(t, requestlog.Refused, asked)
	var told problem.Problem
	if err := json.Unmarshal(answer.Body.Bytes(), &told); err != nil {
		t.Fatal(err)
	}
	if got := answer.Header().Get(problem.RequestIDHeader); got != "shop-17:4" || told.RequestID != got {
		t.Errorf("the answer carries %q, its problem %q", got, told.RequestID)
	}
	if len(lines) != 1 {
		t.Fatalf("%d lines in the log: %v", len(lines), lines)
	}
	for key, want := range map[string]any{
		"request_id": "shop-17:4", "trace_id": traceID, "parent_id": parentID, "status": 404.0, "path": "/api/v1/cameras/nobody", "level": "INFO",
	} {
		if lines[0][key] != want {
			t.Errorf("%s is %v in the log, want %v", key, lines[0][key], want)
		}
	}
}

func TestARequestWithoutAnUsableIDGetsOne(t *testing.T) {
	answer, _ := through(t, requestlog.None, request("/healthz", problem.RequestIDHeader, "two words"))
	if got := answer.Header().Get(problem.RequestIDHeader); got == "" || got == "two words" {
		t.Errorf("it became %q", got)
	}
}

func TestWhatTheGuardRefusesHasAnIDToo(t *testing.T) {
	foreign := request("/healthz", problem.RequestIDHeader, "a-1")
	foreign.Host = "evil.example"
	answer, lines := through(t, requestlog.Refused, foreign)
	if answer.Code != http.StatusMisdirectedRequest || !strings.Contains(answer.Body.String(), `"request_id":"a-1"`) || len(lines) != 1 {
		t.Errorf("%d %s, %v", answer.Code, answer.Body, lines)
	}
}

func TestTheLogHoldsWhatTheSettingSays(t *testing.T) {
	asked := []*http.Request{request("/healthz"), request("/nowhere"), request("/api/v1/cameras/door/snapshot.jpg")}
	for which, want := range map[string][]string{
		requestlog.All: {"INFO /healthz", "INFO /nowhere", "WARN /api/v1/cameras/door/snapshot.jpg"}, requestlog.None: nil,
		requestlog.Refused: {"INFO /nowhere", "WARN /api/v1/cameras/door/snapshot.jpg"},
	} {
		_, lines := through(t, which, asked...)
		var got []string
		for _, line := range lines {
			got = append(got, line["level"].(string)+" "+line["path"].(string))
		}
		if strings.Join(got, ", ") != strings.Join(want, ", ") {
			t.Errorf("%s: %v, want %v", which, got, want)
		}
	}
}

func TestThatNothingIsReadyYetIsNoRefusal(t *testing.T) {
	for path, want := range map[string]bool{
		"/readyz": false, "/v2/health/ready": false, "/v2/models/faces/ready": false, "/v2/models/faces/versions/1/ready": false,
		"/v2/models/faces/infer": true, "/api/v1/detect": true,
	} {
		if got := answered(request(path), http.StatusServiceUnavailable, "", time.Time{}).IsRefusal; got != want {
			t.Errorf("%s: a refusal %t, want %t", path, got, want)
		}
	}
	if !answered(request("/v2/models/nobody/ready"), http.StatusNotFound, "", time.Time{}).IsRefusal {
		t.Error("a model that there is not is no refusal")
	}
}

func TestAFloodOfRefusalsIsThinnedOutAndLongPathsAreCut(t *testing.T) {
	var flood []*http.Request
	for range 2000 {
		flood = append(flood, request("/"+strings.Repeat("x", 3000)))
	}
	_, lines := through(t, requestlog.Refused, flood...)
	if len(lines) == 0 || len(lines) > 200 {
		t.Errorf("%d lines about %d refusals", len(lines), len(flood))
	}
	if path := lines[0]["path"].(string); len(path) != 200 {
		t.Errorf("a path of %d bytes in the log", len(path))
	}
}
