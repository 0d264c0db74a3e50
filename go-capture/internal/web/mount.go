// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"visavis/capture/internal/auth"
)

// Mount is a route that another part of the appliance answers, errors included. The guard, the metrics and the description are
// those of all routes.
type Mount struct {
	Method    string // "" = GET and HEAD
	Pattern   string
	Least     auth.Role
	Shows     Scope
	Operation map[string]any // of OpenAPI
	Handler   http.Handler
}

// Guests are what other parts add to the site.
type Guests struct {
	Mounts     []Mount
	Collectors []prometheus.Collector
}

func (m Mount) route() route {
	handle := func(w http.ResponseWriter, r *http.Request) error {
		m.Handler.ServeHTTP(w, r)
		return nil
	}
	return route{pattern: m.Pattern, method: m.Method, least: m.Least, shows: m.Shows, described: m.Operation, documents: true, handle: handle}
}

// methods names what the route answers to, as the Allow header does.
func (t route) methods() string {
	if t.method == "" {
		return "GET, HEAD"
	}
	return t.method
}

func (t route) answers(method string) bool {
	if t.method == "" {
		return method == http.MethodGet || method == http.MethodHead
	}
	return method == t.method
}

// verb is the route's key in OpenAPI.
func (t route) verb() string {
	if t.method == "" {
		return "get"
	}
	return strings.ToLower(t.method)
}
