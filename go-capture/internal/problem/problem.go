// SPDX-License-Identifier: Apache-2.0

// Package problem writes error answers as RFC 9457 describes them, and as the Open Inference Protocol does below /v2.
package problem

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

const (
	// ContentType is that of a problem.
	ContentType = "application/problem+json"
	// Blank is the type of a problem that its status and title explain.
	Blank = "about:blank"
	// RequestIDHeader names the header by which an answer, its problem and its line in the log are found again.
	RequestIDHeader = "X-Request-Id"
	// StatusClientGone is nginx's: it blames nobody here for an answer that nobody waited for. Only logs and metrics see it.
	StatusClientGone = 499
)

var newline = []byte("\n")

// Problem is an error answer.
type Problem struct {
	Type   string `json:"type"` // Blank if left empty when it is written
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	// RequestID is that of the answer's header; Write fills it in.
	RequestID string `json:"request_id,omitempty"`

	RetryAfter int `json:"-"` // seconds, 0 = no such header
}

// Write answers r with the problem; nobody keeps it for later.
func (p Problem) Write(w http.ResponseWriter, r *http.Request) {
	if p.Type == "" {
		p.Type = Blank
	}
	h := w.Header()
	p.RequestID = h.Get(RequestIDHeader)
	h.Del("ETag")
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	if p.Status == http.StatusUpgradeRequired {
		h.Set("Upgrade", "websocket") // RFC 9110, 15.5.22: what is required has to be said, and 7.8: to whom
		h.Set("Connection", "Upgrade")
	}
	if OfInference(r.URL.Path) {
		WriteJSON(w, r, Answer{ContentType: inferenceType, Status: p.Status, Body: map[string]string{"error": p.Sentence()}})
		return
	}
	WriteJSON(w, r, Answer{ContentType: ContentType, Status: p.Status, Body: p})
}

const inferenceType = "application/json"

// OfInference tells whether a path is one of the Open Inference Protocol, whose clients read only their own kind of error.
func OfInference(path string) bool {
	return path == "/v2" || strings.HasPrefix(path, "/v2/")
}

// InferenceContent describes such an error for OpenAPI.
func InferenceContent() map[string]any {
	text := map[string]any{"type": "string"}
	return map[string]any{inferenceType: map[string]any{"schema": map[string]any{
		"type": "object", "required": []string{"error"}, "properties": map[string]any{"error": text}}}}
}

// Sentence is the problem for those who take one text.
func (p Problem) Sentence() string {
	if p.Detail == "" {
		return p.Title
	}
	return p.Title + ": " + p.Detail
}

// Answer is one JSON answer.
type Answer struct {
	ContentType string
	Status      int
	Body        any // a json.RawMessage is sent as it is
}

// WriteJSON answers r; HEAD gets the headers alone.
func WriteJSON(w http.ResponseWriter, r *http.Request, a Answer) {
	body, done := a.Body.(json.RawMessage)
	if !done {
		var err error
		if body, err = json.Marshal(a.Body); err != nil {
			http.Error(w, "the answer could not be written as JSON", http.StatusInternalServerError)
			return
		}
	}
	h := w.Header()
	h["Content-Type"], h["Content-Length"] = []string{a.ContentType}, []string{strconv.Itoa(len(body) + 1)}
	w.WriteHeader(a.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client has gone: nobody is left to tell
		_, _ = w.Write(newline)
	}
}
