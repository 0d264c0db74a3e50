// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"strings"
	"time"

	"visavis/capture/internal/problem"
	"visavis/capture/internal/requestlog"
)

// named gives each request an id that its answer carries, and writes the request's line in the log when it is answered.
func (s *Server) named(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := requestlog.ID(r.Header[problem.RequestIDHeader])
		w.Header()[problem.RequestIDHeader] = []string{id}
		began, recorder := time.Now(), recorderOf(w)
		defer func() { s.settings.Log.Answered(r.Context(), answered(r, recorder.code, id, began)) }()
		next.ServeHTTP(recorder, r)
	})
}

func answered(r *http.Request, code int, id string, began time.Time) requestlog.Answered {
	isNo := code == http.StatusServiceUnavailable && asksIfReady(r.URL.Path) // which is an answer
	return requestlog.Answered{
		Method: r.Method, Path: r.URL.Path, Client: r.RemoteAddr, ID: id, Traces: r.Header["Traceparent"], Status: code,
		IsRefusal: code >= http.StatusBadRequest && !isNo, IsFailure: code >= http.StatusInternalServerError, Began: began,
	}
}

// asksIfReady tells of probes, of the device or of a model.
func asksIfReady(path string) bool {
	return path == "/readyz" || strings.HasPrefix(path, "/v2/") && strings.HasSuffix(path, "/ready")
}
