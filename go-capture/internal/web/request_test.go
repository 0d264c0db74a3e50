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
)

// through sends one request through the whole site, which logs what `which` says, and returns the answer and the log's lines.
func through(t *testing.T, which string, requests ...*http.Request) (*httptest.ResponseRecorder, []map[string]any) {
	t.Helper()
	server, err := New(Settings{Listen: "127.0.0.1:0", Device: "box", LogRequests: which}, oneCamera{})
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
	answer, lines := through(t, LogRefused, asked)
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
	seen := map[string]bool{}
	for _, sent := range []string{"", "two words", "line\nbreak", "<script>", "ü", strings.Repeat("a", 129), `"`} {
		asked := request("/healthz")
		asked.Header[problem.RequestIDHeader] = []string{sent}
		answer, _ := through(t, LogNone, asked)
		got := answer.Header().Get(problem.RequestIDHeader)
		if got == sent || !isRequestID(got) || seen[got] {
			t.Errorf("%q became %q", sent, got)
		}
		seen[got] = true
	}
}

func TestWhatTheGuardRefusesHasAnIDToo(t *testing.T) {
	foreign := request("/healthz", problem.RequestIDHeader, "a-1")
	foreign.Host = "evil.example"
	answer, lines := through(t, LogRefused, foreign)
	if answer.Code != http.StatusMisdirectedRequest || !strings.Contains(answer.Body.String(), `"request_id":"a-1"`) || len(lines) != 1 {
		t.Errorf("%d %s, %v", answer.Code, answer.Body, lines)
	}
}

func TestTheLogHoldsWhatTheSettingSays(t *testing.T) {
	asked := []*http.Request{request("/healthz"), request("/nowhere"), request("/api/v1/cameras/door/snapshot.jpg")}
	for which, want := range map[string][]string{
		LogAll: {"INFO /healthz", "INFO /nowhere", "WARN /api/v1/cameras/door/snapshot.jpg"}, LogNone: nil,
		LogRefused: {"INFO /nowhere", "WARN /api/v1/cameras/door/snapshot.jpg"},
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

func TestAFloodOfRefusalsIsThinnedOutAndLongPathsAreCut(t *testing.T) {
	var flood []*http.Request
	for range 100 * linesBurst {
		flood = append(flood, request("/"+strings.Repeat("x", 3000)))
	}
	_, lines := through(t, LogRefused, flood...)
	if len(lines) < linesBurst || len(lines) > 10*linesBurst {
		t.Errorf("%d lines about %d refusals", len(lines), len(flood))
	}
	if path := lines[0]["path"].(string); len(path) != pathMost {
		t.Errorf("a path of %d bytes in the log", len(path))
	}
	log := newRequestLog(LogRefused)
	for range linesBurst + 5 {
		log.answered(request("/nowhere"), http.StatusNotFound, "a", time.Now())
	}
	if missed := <-log.missed; missed < 4 || missed > 5 {
		t.Errorf("%d lines are counted as left out, want 5", missed)
	}
}

func TestOnlyAWellFormedTraceIsTaken(t *testing.T) {
	for text, good := range map[string]bool{
		goodTrace: true, "cc" + goodTrace[2:] + "-what comes later": true, "cc" + goodTrace[2:]: true,
		"": false, "00": false, goodTrace + "-more": false, "cc" + goodTrace[2:] + "more": false, "ff" + goodTrace[2:]: false,
		strings.ToUpper(goodTrace): false, strings.Replace(goodTrace, traceID, strings.Repeat("0", 32), 1): false,
		strings.Replace(goodTrace, parentID, strings.Repeat("0", 16), 1): false, strings.Replace(goodTrace, "-01", "-0g", 1): false,
		strings.Replace(goodTrace, "-", "_", 1): false,
	} {
		header := http.Header{}
		header.Set("Traceparent", text)
		if got, ok := readTrace(header); ok != good || (ok && got != trace{traceID, parentID}) {
			t.Errorf("%q: %v %v", text, got, ok)
		}
	}
	if _, ok := readTrace(http.Header{"Traceparent": {goodTrace, goodTrace}}); ok {
		t.Error("two of them are taken")
	}
}

// FuzzRequestHeaders: whatever a client sends, what is carried on is an id that headers and logs can hold, and a trace of hex digits.
func FuzzRequestHeaders(f *testing.F) {
	for _, id := range []string{"", "a-1", "two words", "\x00"} {
		for _, text := range []string{goodTrace, "cc" + goodTrace[2:] + "-x", goodTrace[:20]} {
			f.Add(id, text)
		}
	}
	f.Fuzz(func(t *testing.T, id, text string) {
		if isRequestID(id) && (len(id) > requestIDMost || strings.ContainsAny(id, " \r\n\"\\<>{}\x00")) {
			t.Fatalf("%q is taken", id)
		}
		got, ok := readTrace(http.Header{"Traceparent": {text}})
		if ok && (!isHex(got.id) || !isHex(got.parent) || len(got.id) != 32 || len(got.parent) != 16 || !strings.Contains(text, got.id)) {
			t.Fatalf("%q gives %v", text, got)
		}
	})
}
