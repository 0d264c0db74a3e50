// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/auth/authtest"
	"visavis/capture/internal/config"
	"visavis/capture/internal/web"
)

// leastRoles is the table of rights as a person wrote it down; a route that is not here fails. A new route needs a thought.
var leastRoles = map[string]auth.Role{
	"/healthz": auth.Public, "/readyz": auth.Public, "/metrics": auth.Viewer, "/openapi.json": auth.Viewer,
	"/api/v1/session": auth.Public, "/api/v1/login": auth.Public, "/api/v1/claim": auth.Public, "/api/v1/logout": auth.Public,
	"/api/v1/status": auth.Viewer, "/api/v1/events": auth.Viewer, "/api/v1/events/{event}/thumbnail.jpg": auth.Viewer,
	"/api/v1/cameras": auth.Viewer, "/api/v1/cameras/{id}": auth.Viewer,
	"/api/v1/cameras/{id}/stream.mjpeg": auth.Viewer, "/api/v1/cameras/{id}/live": auth.Viewer, "/api/v1/cameras/{id}/snapshot.jpg": auth.Viewer,
	"/api/v1/detect": auth.Operator, "/api/v1/detect/stream": auth.Operator, "/api/v1/cameras/{id}/push": auth.Operator,
	"/v2": auth.Viewer, "/v2/health/live": auth.Public, "/v2/health/ready": auth.Public,
	"/v2/models/{model}": auth.Viewer, "/v2/models/{model}/ready": auth.Viewer, "/v2/models/{model}/infer": auth.Operator,
	"/v2/models/{model}/versions/{version}": auth.Viewer, "/v2/models/{model}/versions/{version}/ready": auth.Viewer,
	"/v2/models/{model}/versions/{version}/infer": auth.Operator,
	"/": auth.Viewer, "/try": auth.Viewer, "/login": auth.Public, "/claim": auth.Public, "other": auth.Viewer,
}

// isStatic tells whether a path is a file that is the same on every device.
func isStatic(pattern string) bool {
	for _, ending := range []string{".js", ".css", ".svg", ".webmanifest"} {
		if strings.HasSuffix(pattern, ending) && strings.Count(pattern, "/") == 1 {
			return true
		}
	}
	return false
}

// sender is somebody who asks, with the rights that they should have.
type sender struct {
	name    string
	role    auth.Role // Public = nobody that is known
	cameras string    // ids that they may see, "*" for all
	token   string
	cookie  string
}

// site is the whole table of a device that wants logins, with somebody of each kind.
type site struct {
	handler http.Handler
	routes  []web.RouteInfo
	senders []sender
}

// configured is the real appliance, not started.
func configured(t testing.TB, environment ...string) *Appliance {
	t.Helper()
	settings, err := config.Load("", append(environment, "VISAVIS_DEVICE__ID=box"), nil)
	if err != nil {
		t.Fatal(err)
	}
	appliance, err := New(settings, "", "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(appliance.gateway.Close)
	return appliance
}

func buildSite(t *testing.T) site {
	t.Helper()
	file := auth.File{Path: filepath.Join(t.TempDir(), "credentials.toml")}
	appliance := configured(t, "VISAVIS_AUTH__ENABLED=true", "VISAVIS_AUTH__FILE="+file.Path, "VISAVIS_HISTORY__THUMBNAILS_MB=1")
	s := site{handler: appliance.web.Handler(), routes: appliance.web.Routes()}
	s.senders = []sender{{name: "nobody", role: auth.Public}, {name: "a stranger's token", role: auth.Public, token: "vis_aaaaaaaa_bbbb"},
		{name: "a stranger's cookie", role: auth.Public, cookie: "guessed"}}
	for _, one := range []sender{
		{name: "viewer", role: auth.Viewer, cameras: "*"}, {name: "viewer-of-door", role: auth.Viewer, cameras: "door"},
		{name: "operator", role: auth.Operator, cameras: "*"}, {name: "operator-of-door", role: auth.Operator, cameras: "door"},
		{name: "admin", role: auth.Admin, cameras: "*"},
	} {
		byToken, byCookie := one, one
		byToken.token = authtest.Add(t, file, auth.Wanted{Name: one.name + "-token", Role: one.role.String(), Cameras: []string{one.cameras}})
		authtest.Add(t, file, auth.Wanted{Name: one.name, Role: one.role.String(), Cameras: []string{one.cameras}, Password: "correct horse battery"})
		byCookie.cookie = loginTo(t, appliance.gate, one.name)
		s.senders = append(s.senders, byToken, byCookie)
	}
	revoked := sender{name: "revoked", role: auth.Public, token: authtest.Add(t, file, auth.Wanted{Name: "revoked", Role: "admin", Cameras: []string{"*"}})}
	if err := file.Revoke("revoked"); err != nil {
		t.Fatal(err)
	}
	s.senders = append(s.senders, revoked)
	return s
}

func loginTo(t *testing.T, gate *auth.Gate, name string) (cookie string) {
	t.Helper()
	cookie, _, err := gate.Login(context.Background(), "192.0.2.1:1", name, "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}

func TestWhatTheThrottleKnowsOutlivesTheDaemon(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("VISAVIS_STATE_DIR", folder)
	appliance := configured(t, "VISAVIS_AUTH__ENABLED=true")
	authtest.Add(t, auth.File{Path: filepath.Join(folder, "credentials.toml")}, auth.Wanted{Name: "anna", Role: "viewer", Password: "correct horse battery"})
	loginTo(t, appliance.gate, "anna")
	ended, end := context.WithCancel(context.Background())
	end()
	if err := appliance.gate.Run(ended); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"box.json", "box.friends.json"} {
		if _, err := os.Stat(filepath.Join(folder, "sessions", name)); err != nil {
			t.Error(err)
		}
	}
}

// origin is where a request comes from, in the browser's words.
type origin struct {
	name   string
	header http.Header
	host   string
	code   int  // of its refusal, 0 = it is none; whoever it is
	leads  bool // a browser goes where it says: refused only where that changes something
	named  bool // by Origin alone, which browsers send for our own page's scripts too: refused only what is no file of the page
}

// refusal is what a request for that route gets for coming from there, 0 = nothing.
func (o origin) refusal(route web.RouteInfo) int {
	if route.Method == http.MethodGet && (o.leads || o.named && route.File) {
		return 0
	}
	return o.code
}

var origins = []origin{
	{name: "a program", host: "box.local"},
	{name: "our own page", host: "box.local", header: http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"http://box.local"}}},
	{name: "another site's page", host: "box.local", header: http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}}, code: http.StatusForbidden},
	{name: "another site's link or form", host: "box.local", header: http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"navigate"}},
		code: http.StatusForbidden, leads: true},
	{name: "a form of another port's page", host: "box.local", header: http.Header{"Sec-Fetch-Site": {"same-site"}, "Sec-Fetch-Mode": {"navigate"}},
		code: http.StatusForbidden, leads: true},
	{name: "an old browser at another site", host: "box.local", header: http.Header{"Origin": {"http://evil.example"}}, code: http.StatusForbidden, named: true},
	{name: "another port of this host", host: "box.local", header: http.Header{"Origin": {"http://box.local:81"}}, code: http.StatusForbidden, named: true},
	{name: "a page that hides where it is", host: "box.local", header: http.Header{"Origin": {"null"}}, code: http.StatusForbidden, named: true},
	{name: "a rebound name", host: "evil.example", header: http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"http://evil.example"}}, code: http.StatusMisdirectedRequest},
}

// ask sends one request whose client has gone already, so that no stream lasts.
func (s site) ask(method, path string, from origin, who sender) *httptest.ResponseRecorder {
	gone, leave := context.WithCancel(context.Background())
	leave()
	request := httptest.NewRequest(method, path, nil).WithContext(gone)
	request.Host, request.RemoteAddr = from.host, "192.0.2.9:1"
	for name := range from.header {
		request.Header.Set(name, from.header.Get(name))
	}
	if who.token != "" {
		request.Header.Set("Authorization", "Bearer "+who.token)
	}
	if who.cookie != "" {
		request.AddCookie(&http.Cookie{Name: "visavis_box", Value: who.cookie})
	}
	answer := httptest.NewRecorder()
	s.handler.ServeHTTP(answer, request)
	return answer
}

// expected is the refusal that a request must get, 0 when it may pass.
func expected(route web.RouteInfo, from origin, who sender, camera string) int {
	switch {
	case from.refusal(route) != 0:
		return from.refusal(route)
	case route.Least == auth.Public:
		return 0
	case who.role == auth.Public && route.Page:
		return http.StatusSeeOther
	case who.role == auth.Public:
		return http.StatusUnauthorized
	case who.role < route.Least:
		return http.StatusForbidden
	case route.Pattern == "/metrics" && who.cameras != "*":
		return http.StatusForbidden
	case strings.Contains(route.Pattern, "{id}") && who.cameras != "*" && who.cameras != camera:
		return http.StatusForbidden
	}
	return 0
}

// passed tells whether an answer is no refusal of the door: what the route itself says does not matter here.
func passed(code int) bool {
	switch code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusMisdirectedRequest, http.StatusSeeOther:
		return false
	}
	return true
}

func TestTheDoorOfADeviceThatWantsLogins(t *testing.T) {
	s := buildSite(t)
	t.Run("every route has the role that is written down", s.rolesAreWrittenDown)
	t.Run("every route refuses everybody who may not use it", s.everybodyIsRefused)
	t.Run("the description says who may use a route", s.descriptionSaysWho)
	t.Run("the description has a schema for each answer", s.descriptionIsComplete)
	t.Run("the description names every route that is no file", s.descriptionNamesAll)
	t.Run("what is not in the table needs a login too", s.theRestNeedsALogin)
}

func (s site) rolesAreWrittenDown(t *testing.T) {
	seen := map[string]bool{}
	for _, route := range s.routes {
		seen[route.Pattern] = true
		want, known := leastRoles[route.Pattern]
		if !known && isStatic(route.Pattern) {
			want, known = auth.Public, true
		}
		if !known || route.Least != want {
			t.Errorf("%s %s needs %s; written down is %q", route.Method, route.Pattern, route.Least, want)
		}
	}
	for pattern := range leastRoles {
		if !seen[pattern] {
			t.Errorf("%s is written down and not served", pattern)
		}
	}
}

func (s site) everybodyIsRefused(t *testing.T) {
	asked := 0
	for _, route := range s.routes {
		cameras := []string{""}
		if strings.Contains(route.Pattern, "{id}") {
			cameras = []string{"door", "yard", "nowhere"}
		}
		for _, camera := range cameras {
			for _, from := range origins {
				for _, who := range s.senders {
					path := strings.NewReplacer("{id}", camera, "other", "/no/such/page").Replace(route.Pattern)
					if route.Pattern == "/api/v1/logout" {
						who.cookie = "" // the others still need it
					}
					s.check(t, route, path, from, who, expected(route, from, who, camera))
					asked++
				}
			}
		}
	}
	t.Logf("%d routes, %d requests", len(s.routes), asked)
}

func (s site) check(t *testing.T, route web.RouteInfo, path string, from origin, who sender, want int) {
	t.Helper()
	answer := s.ask(route.Method, path, from, who)
	got := answer.Code
	if want == 0 && !passed(got) || want != 0 && got != want {
		t.Errorf("%s %s from %s by %s: %d, want %d (0: it may pass)", route.Method, path, from.name, who.name, got, want)
	}
	if got == http.StatusUnauthorized && answer.Header().Get("WWW-Authenticate") == "" {
		t.Errorf("%s %s: 401 without WWW-Authenticate", route.Method, path)
	}
}

// description is /openapi.json for somebody who may read it.
func (s site) description() *httptest.ResponseRecorder {
	return s.ask(http.MethodGet, "/openapi.json", origins[0], s.senders[len(s.senders)-2])
}

func (s site) descriptionIsComplete(t *testing.T) {
	var document any
	if err := json.Unmarshal(s.description().Body.Bytes(), &document); err != nil {
		t.Fatal(err)
	}
	walk(document, func(path string, member any) {
		if reference, is := member.(string); is && strings.HasSuffix(path, "/$ref") && at(document, reference) == nil {
			t.Errorf("%s leads nowhere: %s", path, reference)
		}
		if kind, is := member.(map[string]any); is && strings.HasSuffix(path, "/content/application/json") && kind["schema"] == nil {
			t.Errorf("%s has no schema", path)
		}
		if of := object(member)["responses"]; object(of)["101"] != nil && object(member)["x-messages"] == nil {
			t.Errorf("%s: a WebSocket without the schema of its messages", path)
		}
	})
}

// walk visits what a document of JSON holds, with the way there.
func walk(document any, visit func(path string, member any)) {
	var into func(path string, member any)
	into = func(path string, member any) {
		visit(path, member)
		for name, inner := range object(member) {
			into(path+"/"+name, inner)
		}
		if list, is := member.([]any); is {
			for _, inner := range list {
				into(path+"/[]", inner)
			}
		}
	}
	into("#", document)
}

// at finds what a reference such as #/components/schemas/status leads to.
func at(document any, reference string) any {
	for _, name := range strings.Split(reference, "/")[1:] {
		document = object(document)[name]
	}
	return document
}

func object(member any) map[string]any {
	found, _ := member.(map[string]any)
	return found
}

func (s site) descriptionSaysWho(t *testing.T) {
	answer := s.description()
	var document struct {
		Paths map[string]map[string]struct {
			Security []map[string][]string `json:"security"`
			Least    string                `json:"x-least-role"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &document); err != nil || len(document.Paths) == 0 {
		t.Fatalf("%d %v: %s", answer.Code, err, answer.Body)
	}
	for pattern, operations := range document.Paths {
		for _, operation := range operations {
			want := leastRoles[pattern]
			if (want != auth.Public) != (len(operation.Security) == 2) || want != auth.Public && operation.Least != want.String() {
				t.Errorf("%s is described as open to %q with %v", pattern, operation.Least, operation.Security)
			}
		}
	}
}

func (s site) descriptionNamesAll(t *testing.T) {
	answer := s.ask(http.MethodGet, "/openapi.json", origins[0], s.senders[len(s.senders)-2])
	var document struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &document); err != nil {
		t.Fatalf("%d %v: %s", answer.Code, err, answer.Body)
	}
	described := map[string]bool{}
	for pattern, operations := range document.Paths {
		for method := range operations {
			described[strings.ToUpper(method)+" "+pattern] = true
		}
	}
	for _, route := range s.routes {
		name, wanted := route.Method+" "+route.Pattern, !route.File && route.Pattern != "other"
		if described[name] != wanted {
			t.Errorf("%s is described: %t, and must be: %t", name, described[name], wanted)
		}
		delete(described, name)
	}
	if len(described) > 0 {
		t.Errorf("described and not served: %v", described)
	}
}

func (s site) theRestNeedsALogin(t *testing.T) {
	program := origins[0]
	for _, path := range []string{"/nothing", "/api/v2/status", "/api/v1/cameras/door/record", "/api/v1/status/", "/.git/config"} {
		if got := s.ask(http.MethodGet, path, program, s.senders[0]).Code; got != http.StatusUnauthorized {
			t.Errorf("%s by nobody: %d", path, got)
		}
	}
	for _, method := range []string{"HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"} {
		if got := s.ask(method, "/api/v1/status", program, s.senders[0]).Code; got != http.StatusUnauthorized {
			t.Errorf("%s by nobody: %d", method, got)
		}
	}
}

// calledInNetwork is what the machine is called while a test runs.
func calledInNetwork(t *testing.T, name string) {
	t.Helper()
	before := machineName
	machineName = func() string { return name }
	t.Cleanup(func() { machineName = before })
}

func TestADeviceIsFoundByTheNameOfItsMachine(t *testing.T) {
	calledInNetwork(t, "Raspi.example.org")
	appliance := configured(t, "VISAVIS_AUTH__ENABLED=true", "VISAVIS_WEB__LISTEN=0.0.0.0:8080")
	if got := pageURL(appliance.config); got != "http://raspi.local:8080/" {
		t.Errorf("the page is announced at %s", got)
	}
	for host, want := range map[string]int{
		"box.local": http.StatusOK, "raspi.local:8080": http.StatusOK, "raspi": http.StatusOK, "RASPI.example.org": http.StatusOK,
		"evil.local": http.StatusMisdirectedRequest,
	} {
		got := httptest.NewRecorder()
		appliance.web.Handler().ServeHTTP(got, httptest.NewRequest(http.MethodGet, "http://"+host+"/healthz", nil))
		if got.Code != want {
			t.Errorf("asked as %s: %d, want %d", host, got.Code, want)
		}
	}
}

func TestACertificateOfItsOwnHoldsTheNameOfTheMachine(t *testing.T) {
	t.Setenv("VISAVIS_STATE_DIR", t.TempDir())
	for machine, want := range map[string]string{"raspi": "raspi.local", "küche": "box.local", "localhost": "box.local", "": "box.local"} {
		calledInNetwork(t, machine)
		kept, err := certificateOf(configured(t, "VISAVIS_WEB__HTTPS=true").config)
		if err != nil {
			t.Fatalf("on a machine called %q: %v", machine, err)
		}
		held, err := kept.Config().GetCertificate(nil)
		if err != nil || held.Leaf.VerifyHostname(want) != nil {
			t.Errorf("on a machine called %q it holds %v, not %s", machine, held.Leaf.DNSNames, want)
		}
	}
}

func TestOthersAreToldWhereTheyFindThePageIfTheyCanReachIt(t *testing.T) {
	calledInNetwork(t, "")
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "", "localhost:80": "", "[::1]:1": "", "0.0.0.0:8080": "http://box.local:8080/", ":80": "http://box.local:80/",
		"[::]:8080": "http://box.local:8080/", "192.0.2.7:8080": "http://192.0.2.7:8080/", "[2001:db8::7]:8080": "http://[2001:db8::7]:8080/",
	} {
		settings, err := config.Load("", []string{"VISAVIS_DEVICE__ID=box", "VISAVIS_AUTH__ENABLED=true", "VISAVIS_WEB__LISTEN=" + listen}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := pageURL(settings); got != want {
			t.Errorf("listening at %s: %q, want %q", listen, got, want)
		}
		settings.Web.HTTPS = true
		if got := pageURL(settings); got != strings.Replace(want, "http:", "https:", 1) {
			t.Errorf("listening at %s, encrypted: %q", listen, got)
		}
	}
}

func TestWithoutAuthEverybodyOnLoopbackMayDoEverything(t *testing.T) {
	appliance := configured(t)
	s := site{handler: appliance.web.Handler(), routes: appliance.web.Routes()}
	for _, route := range s.routes {
		if got := s.ask(route.Method, strings.NewReplacer("{id}", "door", "other", "/no/such/page").Replace(route.Pattern), origins[0], sender{}).Code; !passed(got) {
			t.Errorf("%s %s: %d", route.Method, route.Pattern, got)
		}
	}
}
