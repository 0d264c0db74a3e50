// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/auth/authtest"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/showing"
	"visavis/capture/internal/waiting"
)

const annasPassword = "correct horse battery"

// twoCameras is a View with a second camera.
type twoCameras struct{}

func (twoCameras) Status() Status {
	status := oneCamera{}.Status()
	status.Cameras = append(status.Cameras, CameraStatus{ID: "yard", State: CameraOnline})
	status.Parts = []Part{{Name: "history"}, {Name: "configuration", Error: "camera yard: its source is a secret"}}
	status.Broker.Error = "mqtt://secret is away"
	status.Brokers = []OneBroker{{Name: "mqtt", Error: "mqtt://secret is away"}}
	return status
}

func (twoCameras) Cameras() []CameraSettings {
	return append(oneCamera{}.Cameras(), CameraSettings{ID: "yard", Source: "demo:"})
}

func (twoCameras) Stopping() bool { return false }

func (twoCameras) Privacy(id string) (string, bool) {
	return showing.PrivacyPixelate, id == "door" || id == "yard"
}

// locked is a served page that wants logins, with the file of its credentials.
type locked struct {
	*running
	file auth.File
	gate *auth.Gate
}

func serveLocked(t *testing.T) *locked {
	t.Helper()
	return serveKept(t, "")
}

// serveKept keeps the sessions in a file.
func serveKept(t *testing.T, sessions string) *locked {
	t.Helper()
	l := &locked{file: auth.File{Path: filepath.Join(t.TempDir(), "credentials.toml")}}
	var err error
	if l.gate, err = auth.Open(auth.Settings{File: l.file, Sessions: sessions, SessionIdle: time.Hour, SessionMost: 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.gate.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	l.running = serveSettings(t, Settings{Listen: "127.0.0.1:0", WriteTimeout: time.Minute, Auth: l.gate, SessionMost: 24 * time.Hour,
		Thumbnails: pictures()}, twoCameras{})
	return l
}

// add makes an account that sees the cameras, and returns its token if it has no password.
func (l *locked) add(t *testing.T, name, role, password string, cameras ...string) string {
	t.Helper()
	return authtest.Add(t, l.file, auth.Wanted{Name: name, Role: role, Cameras: cameras, Password: password})
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// browser keeps cookies and follows nothing by itself.
func (l *locked) browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// post sends JSON and returns the answer with its body read.
func (l *locked) post(t *testing.T, client *http.Client, path, body string) (*http.Response, string) {
	t.Helper()
	answer, err := client.Post(l.url+path, "application/json; charset=utf-8", strings.NewReader(body))
	return withBody(t, answer, err)
}

func (l *locked) get(t *testing.T, client *http.Client, path string) (*http.Response, string) {
	t.Helper()
	answer, err := client.Get(l.url + path)
	return withBody(t, answer, err)
}

// withBody reads the body of an answer, if there is one.
func withBody(t *testing.T, answer *http.Response, err error) (*http.Response, string) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(text)
}

// withoutID is a problem without what tells one request from the next.
func withoutID(text string) string {
	return regexp.MustCompile(`"request_id":"[^"]*"`).ReplaceAllString(text, "")
}

func annasLogin() string { return fmt.Sprintf(`{"name":"anna","password":%q}`, annasPassword) }

func TestAPersonLogsInLooksAndLogsOut(t *testing.T) {
	l := serveLocked(t)
	l.add(t, "anna", "viewer", annasPassword, "*")
	anna := l.browser(t)
	if answer, _ := l.get(t, anna, "/"); answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/login" {
		t.Errorf("without a login / answers %d to %q", answer.StatusCode, answer.Header.Get("Location"))
	}
	if answer, _ := l.get(t, anna, "/try"); answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/login?to=%2Ftry" {
		t.Errorf("without a login /try answers %d to %q", answer.StatusCode, answer.Header.Get("Location"))
	}
	answer, body := l.post(t, anna, "/api/v1/login", annasLogin())
	if answer.StatusCode != http.StatusOK || !strings.Contains(body, `"name":"anna"`) {
		t.Fatalf("the login answers %d %s", answer.StatusCode, body)
	}
	cookie := answer.Cookies()[0]
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Name != "visavis_box" || cookie.MaxAge != 86400 {
		t.Errorf("the cookie is %s", answer.Header.Get("Set-Cookie"))
	}
	for _, path := range []string{"/", "/api/v1/status", "/metrics"} {
		if answer, _ := l.get(t, anna, path); answer.StatusCode != http.StatusOK {
			t.Errorf("logged in, %s answers %d", path, answer.StatusCode)
		}
	}
	if answer, _ := l.post(t, anna, "/api/v1/logout", ""); answer.StatusCode != http.StatusNoContent || answer.Cookies()[0].MaxAge >= 0 {
		t.Errorf("the logout answers %d", answer.StatusCode)
	}
	if code, _ := l.ask(t, "GET", "/api/v1/status", http.Header{"Cookie": {cookie.Name + "=" + cookie.Value}}); code != http.StatusUnauthorized {
		t.Errorf("the cookie of a session that was left: %d", code)
	}
}

func TestALogoutThatTheDiskDoesNotTakeIsToldSo(t *testing.T) {
	sessions := filepath.Join(t.TempDir(), "box.json")
	if err := os.MkdirAll(filepath.Join(sessions, "stuck"), 0o700); err != nil { // neither written nor removed
		t.Fatal(err)
	}
	l := serveKept(t, sessions)
	l.add(t, "anna", "viewer", annasPassword, "*")
	anna := l.browser(t)
	l.post(t, anna, "/api/v1/login", annasLogin())
	answer, body := l.post(t, anna, "/api/v1/logout", "")
	if answer.StatusCode != http.StatusInternalServerError || !strings.Contains(body, "holds again after a restart") || !strings.Contains(body, sessions) {
		t.Errorf("%d %s", answer.StatusCode, body)
	}
	if answer, _ := l.get(t, anna, "/api/v1/status"); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("the session goes on: %d", answer.StatusCode)
	}
}

func TestALoginThatIsNoneIsRefusedWithoutSayingWhy(t *testing.T) {
	l := serveLocked(t)
	l.add(t, "anna", "viewer", annasPassword, "*")
	client := l.browser(t)
	wrong := map[string]string{}
	for _, body := range []string{`{"name":"anna","password":"wrong horse battery"}`, `{"name":"nobody","password":"wrong horse battery"}`} {
		answer, text := l.post(t, client, "/api/v1/login", body)
		wrong[withoutID(text)] = body
		if answer.StatusCode != http.StatusUnauthorized || answer.Header.Get("WWW-Authenticate") == "" || len(answer.Cookies()) > 0 {
			t.Errorf("%s: %d", body, answer.StatusCode)
		}
	}
	if len(wrong) != 1 {
		t.Errorf("a wrong name and a wrong password are told apart: %v", wrong)
	}
	secret := "this-is-my-secret"
	for _, body := range []string{"", "[]", `{"name":"anna"} {}`, `{"name":"anna","passwort":"` + secret + `"}`, `{"password":"` + secret, strings.Repeat(" ", 5000) + annasLogin()} {
		if answer, text := l.post(t, client, "/api/v1/login", body); answer.StatusCode != http.StatusBadRequest || strings.Contains(text, secret) {
			t.Errorf("%.60q: %d %s", body, answer.StatusCode, text)
		}
	}
	answer, err := client.Post(l.url+"/api/v1/login", "text/plain", strings.NewReader(annasLogin())) // as a form of another site could
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("a login that is not JSON: %d", answer.StatusCode)
	}
}

func TestTooManyLoginsAreToldWhenToComeBack(t *testing.T) {
	l := serveLocked(t)
	client := l.browser(t)
	for range 20 { // five at once, and more where a hash takes so long that another one is allowed meanwhile
		answer, body := l.post(t, client, "/api/v1/login", annasLogin())
		if answer.StatusCode == http.StatusUnauthorized {
			continue
		}
		if answer.StatusCode != http.StatusTooManyRequests || answer.Header.Get("Retry-After") == "" {
			t.Errorf("%d, Retry-After %q, %s", answer.StatusCode, answer.Header.Get("Retry-After"), body)
		}
		return
	}
	t.Error("nobody is told to wait")
}

func TestAnAccountOfOneCameraSeesNoSignOfTheOther(t *testing.T) {
	l := serveLocked(t)
	door := bearer(l.add(t, "neighbour", "viewer", "", "door"))
	for _, path := range []string{"/api/v1/status", "/api/v1/cameras", "/api/v1/cameras/door"} {
		if code, body := l.ask(t, "GET", path, door); code != http.StatusOK || !strings.Contains(body, "door") || strings.Contains(body, "yard") {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	_, yard := l.ask(t, "GET", "/api/v1/cameras/yard", door)
	_, nowhere := l.ask(t, "GET", "/api/v1/cameras/nowhere", door)
	if withoutID(strings.ReplaceAll(nowhere, "nowhere", "yard")) != withoutID(yard) {
		t.Errorf("a camera that is hidden and one that does not exist are told apart: %s %s", yard, nowhere)
	}
	watcher, leave := context.WithCancel(context.Background())
	defer leave()
	request, err := http.NewRequestWithContext(watcher, "GET", l.url+"/api/v1/cameras/door/stream.mjpeg", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = door
	stream, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	waiting.Until(t, "the door is watched", func() bool { return l.figures().Now == 1 })
	if _, body := l.ask(t, "GET", "/api/v1/status", bearer(l.add(t, "gardener", "viewer", "", "yard"))); !strings.Contains(body, `"viewers":0`) {
		t.Errorf("whoever sees the yard learns that somebody watches the door: %s", body)
	}
	none := bearer(l.add(t, "sender", "operator", ""))
	if code, body := l.ask(t, "GET", "/api/v1/status", none); code != http.StatusOK || strings.Contains(body, "door") {
		t.Errorf("an account without a camera: %d %s", code, body)
	}
}

func TestWhoeverIsRevokedSeesNoFurtherPicture(t *testing.T) {
	l := serveLocked(t)
	token := l.add(t, "robot", "viewer", "", "*")
	request, err := http.NewRequest("GET", l.url+"/api/v1/cameras/door/stream.mjpeg", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = bearer(token)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	waiting.Until(t, "it watches", func() bool { return l.figures().Now == 1 })
	l.show(frame.NewPool(2), 1)
	if _, err := io.ReadFull(answer.Body, make([]byte, 10_000)); err != nil {
		t.Fatal(err)
	}
	if err := l.file.Revoke("robot"); err != nil {
		t.Fatal(err)
	}
	waiting.Until(t, "the stream ends", func() bool { return l.figures().Now == 0 })
	if code, _ := l.ask(t, "GET", "/api/v1/status", bearer(token)); code != http.StatusUnauthorized {
		t.Errorf("a revoked token: %d", code)
	}
}

func TestThePageMayAskWhoIsLoggedInWithoutALogin(t *testing.T) {
	l := serveLocked(t)
	token := l.add(t, "robot", "operator", "", "door")
	for _, c := range []struct {
		header http.Header
		want   sessionAnswer
	}{
		{http.Header{}, sessionAnswer{Required: true, Cameras: []string{}}},
		{bearer("vis_wrong"), sessionAnswer{Required: true, Cameras: []string{}}},
		{bearer(token), sessionAnswer{Required: true, Name: "robot", Role: "operator", Cameras: []string{"door"}}},
	} {
		code, body := l.ask(t, "GET", "/api/v1/session", c.header)
		var got sessionAnswer
		if err := json.Unmarshal([]byte(body), &got); err != nil || code != 200 || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%v: %d %s, want %+v", c.header, code, body, c.want)
		}
	}
}

// TestALoginHoldsBehindAProxyThatAsksForOneItself: a browser sends what such a proxy wants to us too.
func TestALoginHoldsBehindAProxyThatAsksForOneItself(t *testing.T) {
	l := serveLocked(t)
	l.add(t, "anna", "viewer", annasPassword, "*")
	answer, _ := l.post(t, l.browser(t), "/api/v1/login", annasLogin())
	cookie := answer.Cookies()[0].Name + "=" + answer.Cookies()[0].Value
	for _, c := range []struct {
		authorization, cookie string
		want                  int
		words                 string
	}{
		{"Basic eDp5", cookie, http.StatusOK, "door"},
		{"Basic eDp5", "", http.StatusUnauthorized, "This needs a login"},
		{"Bearer", cookie, http.StatusUnauthorized, "Not known here"},
		{"bearer vis_wrong", cookie, http.StatusUnauthorized, "Not known here"},
	} {
		header := http.Header{"Authorization": {c.authorization}, "Cookie": {c.cookie}}
		if code, body := l.ask(t, "GET", "/api/v1/status", header); code != c.want || !strings.Contains(body, c.words) {
			t.Errorf("%s with the cookie %.12q: %d %s, want %d with %q", c.authorization, c.cookie, code, body, c.want, c.words)
		}
	}
}

func TestADeviceIsClaimedWithItsCode(t *testing.T) {
	l := serveLocked(t)
	code := l.gate.OfferClaim()
	client := l.browser(t)
	claim := func(code, name, password string) (int, string) {
		answer, body := l.post(t, client, "/api/v1/claim", fmt.Sprintf(`{"code":%q,"name":%q,"password":%q}`, code, name, password))
		return answer.StatusCode, body
	}
	if _, body := l.get(t, client, "/api/v1/session"); !strings.Contains(body, `"claim":true`) {
		t.Errorf("the page does not learn that the device waits: %s", body)
	}
	for _, c := range []struct {
		code, name, password string
		want                 int
		words                string
	}{
		{code, "anna", "short", http.StatusUnprocessableEntity, "at least 12"},
		{code, "an na", annasPassword, http.StatusUnprocessableEntity, "not allowed as a name"},
		{"AAAA-AAAA", "anna", annasPassword, http.StatusUnauthorized, "code is wrong"},
		{code, "Anna", annasPassword, http.StatusOK, `"role":"admin"`},
		{code, "ben", annasPassword, http.StatusGone, "nothing to claim"},
	} {
		if got, body := claim(c.code, c.name, c.password); got != c.want || !strings.Contains(body, c.words) {
			t.Errorf("%s by %s: %d %s, want %d with %q", c.code, c.name, got, body, c.want, c.words)
		}
	}
	if answer, _ := l.get(t, client, "/api/v1/status"); answer.StatusCode != http.StatusOK {
		t.Errorf("whoever claimed it is not logged in: %d", answer.StatusCode)
	}
}

func TestThePageLearnsWhetherPeopleCanLogInBesideAnOpenClaim(t *testing.T) {
	l := serveLocked(t)
	l.gate.OfferClaim()
	says := func(words string) {
		t.Helper()
		if _, body := l.ask(t, "GET", "/api/v1/session", http.Header{}); !strings.Contains(body, `"claim":true,"logins":`+words) {
			t.Errorf("not %s: %s", words, body)
		}
	}
	says("false")
	l.add(t, "robot", "viewer", "", "*")
	says("false")
	l.add(t, "anna", "viewer", annasPassword, "*")
	says("true")
}

func TestARouteThatNobodyThoughtAboutIsAnErrorAtStart(t *testing.T) {
	settings := Settings{Listen: "127.0.0.1:0", Guests: Guests{Mounts: []Mount{{Pattern: "/new", Handler: http.NotFoundHandler()}}}}
	if _, err := New(settings, oneCamera{}); err == nil || !strings.Contains(err.Error(), "/new has no least role") {
		t.Errorf("it is served: %v", err)
	}
}

func TestALoginMakesItPossibleToListenEverywhere(t *testing.T) {
	l := serveLocked(t)
	everywhere := serveSettings(t, Settings{Listen: "0.0.0.0:0", Auth: l.gate}, oneCamera{})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(everywhere.url, "http://"))
	everywhere.url = "http://127.0.0.1:" + port
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range addresses {
		address := one.(*net.IPNet).IP
		if address.To4() == nil {
			continue
		}
		here := &running{url: "http://" + net.JoinHostPort(address.String(), port)}
		if code, _ := here.ask(t, "GET", "/healthz", http.Header{}); code != http.StatusOK {
			t.Errorf("asked at its own address %s it answers %d", address, code)
		}
	}
	if code, _ := everywhere.ask(t, "GET", "/healthz", http.Header{"Host": {"192.0.2.99"}}); code != http.StatusMisdirectedRequest {
		t.Errorf("asked for an address that is not its own it answers %d", code)
	}
}

// Most programs look for the answer only when they have sent their whole picture.
func TestWhoeverIsTurnedAwayReadsWhyAfterALargePicture(t *testing.T) {
	l := serveLocked(t)
	const bytes = 15 << 20
	for host, status := range map[string]int{"localhost": http.StatusUnauthorized, "evil.example": http.StatusMisdirectedRequest} {
		connection, err := net.Dial("tcp", strings.TrimPrefix(l.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		_ = connection.SetDeadline(time.Now().Add(waiting.Most))
		head := fmt.Sprintf("POST /api/v1/status HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", host, bytes)
		if _, err := io.WriteString(connection, head+strings.Repeat("x", bytes)); err != nil {
			t.Fatalf("%s: %v", host, err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil || answer.StatusCode != status {
			t.Errorf("%s: %v, %v", host, answer, err)
		}
	}
}

func TestALoginEndsTheSessionOfWhoeverWasThereBefore(t *testing.T) {
	l := serveLocked(t)
	l.add(t, "anna", "viewer", annasPassword, "*")
	anna := l.browser(t)
	first, _ := l.post(t, anna, "/api/v1/login", annasLogin())
	l.post(t, anna, "/api/v1/login", annasLogin())
	before := first.Cookies()[0]
	if code, _ := l.ask(t, http.MethodGet, "/api/v1/status", http.Header{"Cookie": {before.Name + "=" + before.Value}}); code != http.StatusUnauthorized {
		t.Errorf("the cookie of before is answered %d", code)
	}
}
