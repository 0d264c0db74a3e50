// SPDX-License-Identifier: Apache-2.0

package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"visavis/capture/internal/problem"
)

// route is one line of the table: everything that is served is in it, and /openapi.json is made from it. Every route of
// this package is read only: GET, and HEAD with the same headers.
type route struct {
	pattern   string // of net/http's mux, without the method
	method    string // "" = GET and HEAD
	described object // the whole OpenAPI operation of a mounted route
	summary   string
	produces  string
	query     []parameter
	documents bool // it is in /openapi.json
	upgrades  bool // it is a WebSocket
	handle    func(http.ResponseWriter, *http.Request) error
}

// table names everything that is served, in the order in which a reader of the API meets it.
func (s *Server) table() []route {
	routes := []route{
		{pattern: "/healthz", summary: "The process answers", produces: "text/plain", documents: true, handle: s.health},
		{pattern: "/readyz", summary: "A worker is ready and a camera has a result; the broker does not count", produces: "text/plain",
			documents: true, handle: s.ready},
		{pattern: "/metrics", summary: "Prometheus metrics", produces: "text/plain", documents: true, handle: s.metrics.handle},
		{pattern: "/openapi.json", summary: "This description", produces: jsonType, documents: true, handle: s.openAPI},
		{pattern: "/api/v1/status", summary: "State of everything, with exact frame accounting", produces: jsonType, documents: true,
			handle: s.status},
		{pattern: "/api/v1/cameras", summary: "All cameras: state and settings", produces: jsonType, documents: true, handle: s.cameras},
		{pattern: "/api/v1/cameras/{id}", summary: "One camera: state and settings", produces: jsonType, documents: true, handle: s.camera},
		{pattern: "/api/v1/cameras/{id}/stream.mjpeg", summary: "Live picture; faces are hidden as the camera's privacy says",
			produces: streamType, query: streamParameters, documents: true, handle: s.stream},
		{pattern: "/api/v1/cameras/{id}/live", summary: liveSummary, produces: jsonType, query: liveParameters, documents: true,
			upgrades: true, handle: s.live},
		{pattern: "/api/v1/cameras/{id}/snapshot.jpg", summary: "Newest picture; faces are hidden as the camera's privacy says",
			produces: "image/jpeg", query: snapshotParameters, documents: true, handle: s.snapshot},
	}
	if s.settings.Events != nil {
		routes = append(routes, s.eventsRoute())
	}
	for _, guest := range s.settings.Guests.Mounts {
		routes = append(routes, guest.route())
	}
	for path, file := range s.assets {
		routes = append(routes, route{pattern: path, summary: "The page", produces: file.contentType, handle: file.serve})
	}
	return routes
}

const jsonType = "application/json"

// Handler is the whole site without a listener.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes {
		mux.Handle(exact(r.pattern), s.metrics.count(r.pattern, r))
	}
	mux.Handle("/", s.metrics.count("other", http.HandlerFunc(noSuchPage)))
	return s.named(s.guard(mux))
}

// exact keeps the mux from taking "/" for every path.
func exact(pattern string) string {
	if strings.HasSuffix(pattern, "/") {
		return pattern + "{$}"
	}
	return pattern
}

// ServeHTTP answers the route's methods; an error of the handler becomes a problem.
func (t route) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !t.answers(r.Method) {
		w.Header().Set("Allow", t.methods())
		problem.Problem{Status: http.StatusMethodNotAllowed, Title: "This method is not answered here",
			Detail: fmt.Sprintf("%s is not possible here; use %s.", r.Method, t.methods())}.Write(w, r)
		return
	}
	err := t.handle(w, r)
	var refused refusal
	if errors.As(err, &refused) {
		problem.Problem(refused).Write(w, r)
	} else if err != nil {
		problem.Problem{Status: http.StatusInternalServerError, Title: "The device could not answer", Detail: err.Error()}.Write(w, r)
	}
}

// refusal is an error that says itself how it is answered.
type refusal problem.Problem

func (r refusal) Error() string { return r.Title + ": " + r.Detail }

func noSuchPage(w http.ResponseWriter, r *http.Request) {
	problem.Problem{Status: http.StatusNotFound, Title: "There is nothing here",
		Detail: "See /openapi.json for what is served, or / for the page."}.Write(w, r)
}

func noSuchCamera(id string) error {
	return refusal{Status: http.StatusNotFound, Title: "There is no such camera",
		Detail: fmt.Sprintf("No camera has the id %q; /api/v1/cameras lists them.", id)}
}
