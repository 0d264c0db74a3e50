// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/leftover"
	"visavis/capture/internal/problem"
)

// route is one line of the table: everything that is served is in it, and /openapi.json is made from it. A route without a
// least role is an error at start. One that names a camera as {id} is open only to those who may see that camera.
type route struct {
	pattern   string // of net/http's mux, without the method
	method    string // "" = GET and HEAD
	least     auth.Role
	shows     Scope
	page      bool   // a person opens it, and is sent to /login instead of being refused
	described object // the whole OpenAPI operation of a route that says it itself
	summary   string
	produces  string
	schema    string // of the answer, or of a WebSocket's text messages: a name in contracts/schemas
	query     []parameter
	refuses   []int // statuses beside those that follow from the other fields
	tagged    bool  // the answer has an ETag
	documents bool  // it is in /openapi.json
	upgrades  bool  // it is a WebSocket
	handle    func(http.ResponseWriter, *http.Request) error
}

// Scope says whose cameras a route shows. One that names a camera as /cameras/{id} shows that one, whatever it says here.
type Scope int

// The scopes. A route that says nothing is only for those who may see all cameras, so forgetting a filter shows nothing.
const (
	EveryCamera Scope = iota
	OwnCameras        // its handler leaves out what visitorOf may not see
	NoCamera
)

// notNow is for routes that may have nothing to show yet, or too many who look.
var notNow = []int{http.StatusServiceUnavailable}

// table names everything that is served, in the order in which a reader of the API meets it.
func (s *Server) table() []route {
	routes := []route{
		{pattern: "/healthz", least: auth.Public, summary: "The process answers", produces: "text/plain", documents: true, handle: s.health},
		{pattern: "/readyz", least: auth.Public, summary: "A worker is ready and a camera has a result; the broker does not count", produces: "text/plain",
			refuses: notNow, documents: true, handle: s.ready},
		{pattern: "/metrics", least: auth.Viewer, summary: "Prometheus metrics", produces: "text/plain", documents: true, handle: s.metrics.handle},
		{pattern: "/openapi.json", least: auth.Viewer, shows: NoCamera, summary: "This description", produces: jsonType, documents: true, handle: s.openAPI},
		{pattern: "/api/v1/session", least: auth.Public, described: object{"summary": "Who is logged in", "responses": sessionAnswers()}, documents: true,
			handle: s.session},
		{pattern: "/api/v1/status", least: auth.Viewer, shows: OwnCameras, summary: "State of everything, with exact frame accounting", produces: jsonType, schema: "status", documents: true,
			handle: s.status},
		{pattern: "/api/v1/cameras", least: auth.Viewer, shows: OwnCameras, summary: "All cameras: state and settings", produces: jsonType, schema: "cameras", documents: true, handle: s.cameras},
		{pattern: "/api/v1/cameras/{id}", least: auth.Viewer, summary: "One camera: state and settings", produces: jsonType, schema: "camera", documents: true, handle: s.camera},
		{pattern: "/api/v1/cameras/{id}/stream.mjpeg", least: auth.Viewer, summary: "Live picture; faces are hidden as the camera's privacy says",
			produces: streamType, query: streamParameters, refuses: notNow, documents: true, handle: s.stream},
		{pattern: "/api/v1/cameras/{id}/live", least: auth.Viewer, summary: liveSummary, produces: jsonType, schema: "detections", query: liveParameters, documents: true,
			refuses: notNow, upgrades: true, handle: s.live},
		{pattern: "/api/v1/cameras/{id}/snapshot.jpg", least: auth.Viewer, summary: "Newest picture; faces are hidden as the camera's privacy says",
			produces: "image/jpeg", query: snapshotParameters, refuses: notNow, tagged: true, documents: true, handle: s.snapshot},
	}
	if s.settings.Events != nil {
		routes = append(routes, s.eventsRoute())
	}
	if s.settings.Thumbnails != nil {
		routes = append(routes, s.thumbnailRoute())
	}
	routes = append(routes, s.loginRoutes()...)
	for _, guest := range s.settings.Guests.Mounts {
		routes = append(routes, guest.route())
	}
	for path, file := range s.assets {
		routes = append(routes, file.route(path))
	}
	return routes
}

const unrouted = "other" // as the metrics call it

// elsewhere answers every path that no route has. Whoever may see nothing does not learn what there is not either.
func elsewhere() route {
	return route{pattern: unrouted, least: auth.Viewer, shows: NoCamera, handle: noSuchPage}
}

// RouteInfo is one line of the table as a test walks it.
type RouteInfo struct {
	Method, Pattern string // GET stands for HEAD too; the pattern "other" for every path that is not in the table
	Least           auth.Role
	Page            bool
	File            bool // of the page
}

// Routes lists the table.
func (s *Server) Routes() []RouteInfo {
	var found []RouteInfo
	for _, one := range append(s.routes, elsewhere()) {
		_, isFile := s.assets[one.pattern]
		found = append(found, RouteInfo{Method: strings.ToUpper(one.verb()), Pattern: one.pattern, Least: one.least, Page: one.page,
			File: isFile})
	}
	return found
}

// requireRoles refuses a table in which a route was added without a thought about who may use it.
func requireRoles(routes []route) error {
	for _, one := range routes {
		if one.least == auth.Unset {
			return fmt.Errorf("the route %s has no least role: give it one", one.pattern)
		}
	}
	return nil
}

const jsonType = "application/json"

// Handler is the whole site without a listener.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes {
		mux.Handle(exact(r.pattern), s.metrics.count(r.pattern, s.guarded(r)))
	}
	rest := elsewhere()
	mux.Handle("/", s.metrics.count(rest.pattern, s.guarded(rest)))
	return leftover.Taken(s.hurry(s.unveil(s.named(s.guard(mux)))), s.settings.BodyTimeout)
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
	if err := t.handle(w, r); err != nil {
		answerError(w, r, err)
	}
}

// answerError writes an error of a handler as a problem.
func answerError(w http.ResponseWriter, r *http.Request, err error) {
	var refused refusal
	stopping := errors.Is(context.Cause(r.Context()), errStops)
	switch {
	case errors.As(err, &refused) && !(stopping && refused.Status == problem.StatusClientGone):
		problem.Problem(refused).Write(w, r)
		return
	case stopping:
		problem.Problem(stops()).Write(w, r)
		return
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil:
		problem.Problem{Status: problem.StatusClientGone, Title: "The client has gone"}.Write(w, r)
		return
	}
	problem.Problem{Status: http.StatusInternalServerError, Title: "The device could not answer", Detail: err.Error()}.Write(w, r)
}

// errStops is why the context of a request ends whose client has not gone.
var errStops = errors.New("the device stops")

func stops() refusal {
	return refusal{Status: http.StatusServiceUnavailable, Title: "The device stops", RetryAfter: 1,
		Detail: "It shows nothing new: ask again after Retry-After."}
}

// refusal is an error that says itself how it is answered.
type refusal problem.Problem

func (r refusal) Error() string { return r.Title + ": " + r.Detail }

func noSuchPage(http.ResponseWriter, *http.Request) error {
	return refusal{Status: http.StatusNotFound, Title: "There is nothing here",
		Detail: "See /openapi.json for what is served, or / for the page."}
}

func noSuchCamera(id string) error {
	return refusal{Status: http.StatusNotFound, Title: "There is no such camera",
		Detail: fmt.Sprintf("No camera has the id %q; /api/v1/cameras lists them.", id)}
}
