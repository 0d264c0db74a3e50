// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"visavis/capture/internal/problem"
)

const (
	// pagePolicy lets a page load the device's own files and nothing else; nothing inline runs or styles. What connect-src allows is last.
	pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; manifest-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; connect-src 'self'"
	// strictPolicy is for whatever is no page: should a browser open it as one, it loads nothing at all. It is short, since client and
	// server go through each byte of a header.
	strictPolicy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

// guard answers requests that must not reach a route: a foreign Host (DNS rebinding) and another site's page.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		switch {
		case !s.hostAllowed(r):
			problem.Problem{Status: http.StatusMisdirectedRequest, Title: "This name is not served here",
				Detail: "The Host header does not hold a name of this device. Add the name to web.hosts to allow it."}.Write(w, r)
		case fromAnotherSite(r):
			problem.Problem{Status: http.StatusForbidden, Title: "Refused to another site's page",
				Detail: "The browser says that a page of another site sent this request."}.Write(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// hurry bounds the time for a body, whoever wants it: net/http waits for one before it answers, also where nobody reads it.
func (s *Server) hurry(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != http.NoBody {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.settings.BodyTimeout)) // without deadlines it is no connection that can be slow
		}
		next.ServeHTTP(w, r)
	})
}

// shields are headers of every answer: few, since a ninth header makes the map of most answers grow, which costs a tenth of a small
// request. All answers share their values, which are full: whoever adds to one copies it.
var shields = []struct {
	name   string
	values []string
}{
	{"Content-Security-Policy", []string{strictPolicy}},
	{"X-Content-Type-Options", []string{"nosniff"}},
	{"Referrer-Policy", []string{"no-referrer"}},
	{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
}

func secure(h http.Header) {
	for _, one := range shields {
		h[one.name] = one.values
	}
}

// socketsOf are the device's WebSockets by the name that the page was asked by: 'self' does not cover them in Safari before 16. A name
// or port that no browser sends gets none, so that it cannot lengthen the policy.
func socketsOf(host string) string {
	if !plainHost.MatchString(host) {
		return ""
	}
	return " ws://" + host + " wss://" + host
}

// plainHost has no IPv6 address, which a policy cannot name.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9._-]+(:[0-9]+)?$`)

// secureDocument lets a page load its files, and adds the headers that browsers look at only where a page is opened; a page may ask for
// nothing but perhaps a camera, which is said by the first part of the permissions.
func secureDocument(h http.Header, host, camera string) {
	h.Set("Content-Security-Policy", pagePolicy+socketsOf(host))
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	h.Set("Permissions-Policy", camera+", microphone=(), geolocation=()")
}

// allowedHosts is the set of names, beside loopback's, by which this device may be asked.
func allowedHosts(settings Settings) map[string]bool {
	hosts := map[string]bool{}
	for _, name := range append([]string{settings.Device, settings.Device + ".local"}, settings.Hosts...) {
		hosts[bareHost(name)] = true
	}
	delete(hosts, "")
	if host, _, err := net.SplitHostPort(settings.Listen); err == nil {
		hosts[bareHost(host)] = true
	}
	return hosts
}

// hostAllowed takes the device's names, and the address at which the request came in: a foreign name can be made to point
// here, an address cannot be made to be ours.
func (s *Server) hostAllowed(r *http.Request) bool {
	name := bareHost(r.Host)
	if s.hosts[name] || isLoopback(name) {
		return true
	}
	local, known := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return known && bareHost(local.IP.String()) == name
}

// bareHost takes the port, the brackets of an IPv6 address and a final dot away, and lowers the case.
func bareHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().WithZone("").String()
	}
	return host
}

// fromAnotherSite tells whether a page of another site sent the request. Such a page may link here and nothing more: it may
// change nothing, and it may not hold our streams open either. Programs that are no browsers send neither header.
func fromAnotherSite(r *http.Request) bool {
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "cross-site", "same-site":
		return !safe || r.Header.Get("Sec-Fetch-Mode") != "navigate"
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	from, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(from.Host, r.Host)
}
