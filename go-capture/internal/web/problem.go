// SPDX-License-Identifier: Apache-2.0

package web

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// problem is an error answer as RFC 9457 describes it.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`

	RetryAfter int `json:"-"` // seconds, 0 = no such header
}

func fail(w http.ResponseWriter, r *http.Request, p problem) {
	p.Type = "about:blank"
	h := w.Header()
	h.Del("ETag")
	h.Set("Cache-Control", "no-store")
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	writeJSON(w, r, answer{contentType: "application/problem+json", status: p.Status, body: p})
}

// answer is one JSON answer.
type answer struct {
	contentType string
	status      int
	body        any
}

func writeJSON(w http.ResponseWriter, r *http.Request, a answer) {
	body, err := json.Marshal(a.body)
	if err != nil {
		http.Error(w, "the answer could not be written as JSON", http.StatusInternalServerError)
		return
	}
	body = append(body, '\n')
	w.Header().Set("Content-Type", a.contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(a.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client has gone: nobody is left to tell
	}
}
