// SPDX-License-Identifier: Apache-2.0

package web

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
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

	// pageOrigin is where our own page says of which origin it is when it asks why it got no WebSocket: to a plain GET the browser adds no
	// Origin, for which the WebSocket may have been refused.
	pageOrigin = "X-Page-Origin"
	hostMost   = 100 // characters of a foreign name that are shown
)

// guard answers requests that must not reach a route: a foreign Host (DNS rebinding) and another site's page. For WebSockets it decides
// alone, too. What it refuses counts as asked of no route, for what the path says is of no interest then.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		if refused := cmp.Or(s.strangeHost(r), s.fromAnotherSite(r)); refused != nil {
			s.metrics.count(unrouted, http.HandlerFunc(refused.Write)).ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
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

// socketsOf are the device's WebSockets by the name that the page was asked by, which may be either host where a proxy tells of two: 'self'
// does not cover them in Safari before 16.
func socketsOf(r *http.Request) string {
	hosts := hostsOf(r)
	if hosts[0] == hosts[1] {
		return socketsAt(hosts[0].host)
	}
	return socketsAt(hosts[0].host) + socketsAt(hosts[1].host)
}

// socketsAt leaves out a name or port that no browser sends, so that it cannot lengthen the policy.
func socketsAt(host string) string {
	if !plainHost.MatchString(host) {
		return ""
	}
	return " ws://" + host + " wss://" + host
}

// plainHost has no IPv6 address, which a policy cannot name.
var plainHost = regexp.MustCompile(`^[A-Za-z0-9._-]+(:[0-9]+)?$`)

// secureDocument lets a page load its files, and adds the headers that browsers look at only where a page is opened; a page may ask for
// nothing but perhaps a camera, which is said by the first part of the permissions.
func secureDocument(h http.Header, r *http.Request, camera string) {
	h.Set("Content-Security-Policy", pagePolicy+socketsOf(r))
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	h.Set("Permissions-Policy", camera+", microphone=(), geolocation=()")
}

// allowedHosts is the set of names, beside loopback's, by which this device may be asked.
func allowedHosts(settings Settings) map[string]bool {
	hosts := map[string]bool{}
	names := append([]string{settings.Device, settings.Device + ".local"}, settings.Hosts...)
	if host, _, err := net.SplitHostPort(settings.Listen); err == nil && !isEveryAddress(host) {
		names = append(names, host)
	}
	for _, name := range names {
		hosts[bareHost(name)] = true
	}
	delete(hosts, "")
	return hosts
}

func isEveryAddress(host string) bool {
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsUnspecified()
}

// strangeHost refuses a request for a name that is not the device's. The Host that a proxy sends must be one too: not every proxy writes
// the X-Forwarded-Host that it passes on, so a page whose name was made to point to it could. A balancer's check may name none.
func (s *Server) strangeHost(r *http.Request) *problem.Problem {
	if r.Host == "" && isCheck(r.URL.Path) {
		return nil
	}
	hosts := hostsOf(r)
	for _, said := range slices.Compact(hosts[:]) {
		if !s.hostAllowed(r, said.host) {
			return strangeName(said, r)
		}
	}
	return nil
}

// isCheck tells whether a path only says how the device is. HAProxy's checks are of HTTP/1.0 without a Host; browsers send one always.
func isCheck(path string) bool {
	switch path {
	case "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready":
		return true
	}
	return false
}

// strangeName says which header the name is in: a proxy puts one of its own choice into Host.
func strangeName(said saidHost, r *http.Request) *problem.Problem {
	remedy := "Add the name to web.hosts to allow it."
	if _, byProxy := passed(r); byProxy && said.header != forwardedHost {
		remedy = "Let the proxy in front of the device leave the host as it is (nginx: proxy_set_header Host $http_host), or add the name to web.hosts to allow it."
	}
	return &problem.Problem{Status: http.StatusMisdirectedRequest, Title: "This name is not served here",
		Detail: fmt.Sprintf("The request is for the host %.*q (%s), which is no name of this device. %s", hostMost, said.host, said.header, remedy)}
}

// hostAllowed takes the device's names, and the address at which the request came in: a foreign name can be made to point
// here, an address cannot be made to be ours.
func (s *Server) hostAllowed(r *http.Request, host string) bool {
	name := bareHost(host)
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
	if address, err := netip.ParseAddr(host); err == nil && !address.Is4() { // which is written in one way only
		return address.Unmap().WithZone("").String()
	}
	return host
}

// fromAnotherSite refuses what a page of another site sent. Such a page may link here and nothing more: it may change nothing, and it
// may not hold our streams open either. Programs that are no browsers send no header of these.
func (s *Server) fromAnotherSite(r *http.Request) *problem.Problem {
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	asks := first(r.Header[pageOrigin])
	switch first(r.Header["Sec-Fetch-Site"]) {
	case "cross-site", "same-site":
		if safe && first(r.Header["Sec-Fetch-Mode"]) == "navigate" {
			return nil
		}
		return &problem.Problem{Status: http.StatusForbidden, Title: "Refused to another site's page",
			Detail: "The browser says that a page of another site sent this request."}
	case "same-origin", "none":
		if asks == "" {
			return nil
		}
	}
	origin := cmp.Or(first(r.Header["Origin"]), asks) // a page writes only the other one itself
	if origin == "" || s.isOurPage(origin, r) || safe && s.isFile(r.URL.Path) {
		return nil
	}
	return otherOrigin(origin, r)
}

// first is the first of a header's values. Those of a name that is written as net/http writes it need no Header.Get, which goes through
// each byte of the name to write it so.
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// isFile tells whether a path is a file of the page. Those are the same on every device, and browsers ask for scripts with an Origin:
// without them the page could not say that a proxy has changed the host.
func (s *Server) isFile(path string) bool {
	_, known := s.assets[path]
	return known
}

// isOurPage tells whether a page of that origin is the device's. Behind a proxy the host that the request is for may be of the proxy's
// own choice: there a page counts that has the other host, or one of the device's names at the usual port, for at another one may be
// somebody else's. A page of the visitor's own machine is none of these.
func (s *Server) isOurPage(origin string, r *http.Request) bool {
	from, err := url.Parse(origin)
	if err != nil || from.Host == "" {
		return false
	}
	hosts := hostsOf(r)
	if isAt(from, hosts[0].host) {
		return true
	}
	_, byProxy := passed(r)
	name := bareHost(from.Host)
	return byProxy && !isLoopback(name) && (from.Port() == "" && s.hosts[name] || isAt(from, hosts[1].host))
}

// isAt tells whether a host is an origin's, which is written without the port that its scheme has anyway.
func isAt(origin *url.URL, host string) bool {
	usual := map[string]string{"http": ":80", "https": ":443"}[origin.Scheme]
	return strings.EqualFold(origin.Host, host) || origin.Port() == "" && strings.EqualFold(origin.Host+usual, host)
}

// otherOrigin says what both are: the page is shown to its owner through a proxy, more often than it is a stranger's.
func otherOrigin(origin string, r *http.Request) *problem.Problem {
	said := fmt.Sprintf("the request is for %.*q (Host)", hostMost, r.Host)
	remedies := []string{"Let the proxy in front of the device leave the host as it is (nginx: proxy_set_header Host $http_host)",
		"name the proxy in web.proxies and the page's host in web.hosts"}
	if hosts := hostsOf(r); hosts[0] != hosts[1] {
		said = fmt.Sprintf("the proxy in front of the device says that the request is for %.*q (%s) and %.*q (%s)",
			hostMost, hosts[0].host, hosts[0].header, hostMost, hosts[1].host, hosts[1].header)
		remedies = []string{"Let it tell the page's host with its port (nginx: proxy_set_header X-Forwarded-Host $http_host)", "name the page's host in web.hosts"}
	}
	if !mayBeNamed(origin) {
		remedies = remedies[:1]
	}
	return &problem.Problem{Status: http.StatusForbidden, Title: "Refused to a page of another host",
		Detail: fmt.Sprintf("The page is of %.*q (Origin), and %s. %s.", hostMost, origin, said, strings.Join(remedies, ", or "))}
}

// mayBeNamed tells whether web.hosts can make a page of that origin ours: see isOurPage.
func mayBeNamed(origin string) bool {
	from, err := url.Parse(origin)
	return err == nil && from.Host != "" && from.Port() == "" && !isLoopback(bareHost(from.Host))
}
