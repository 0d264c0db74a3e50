// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/clientnet"
)

const (
	proxy    = "10.0.0.5:4711"
	stranger = "192.0.2.9:4711"
)

// TestACookieIsSecureWhereTheClientEncrypts also where a proxy ends the encryption.
func TestACookieIsSecureWhereTheClientEncrypts(t *testing.T) {
	l := serveLocked(t)
	l.add(t, "anna", "viewer", annasPassword, "*")
	site := behindAProxy(t, l.gate)
	for _, c := range []struct {
		from, said, live string // live: of a WebSocket, for which Traefik has other names
		secure           bool
	}{
		{proxy, "https", "wss", true}, {proxy, "http, HTTPS", "ws, WSS", true}, {proxy, "https, http", "wss, http", false},
		{proxy, "http", "ws", false}, {proxy, "", "", false}, {stranger, "https", "wss", false},
	} {
		asked := httptest.NewRequest(http.MethodPost, "http://box/api/v1/login", strings.NewReader(annasLogin()))
		asked.Header.Set("Content-Type", jsonType)
		asked.Header.Set(forwardedProto, c.said)
		asked.RemoteAddr = c.from
		answer := httptest.NewRecorder()
		site.ServeHTTP(answer, asked)
		cookies := answer.Result().Cookies()
		if len(cookies) != 1 || cookies[0].Secure != c.secure || strings.HasPrefix(cookies[0].Name, "__Host-") != c.secure {
			t.Fatalf("%s says %q: %d %v", c.from, c.said, answer.Code, cookies)
		}
		back := passedOnBy(c.from, "box", forwardedProto, c.live, "Cookie", cookies[0].Name+"="+cookies[0].Value)
		back.URL.Path = "/api/v1/status"
		answer = httptest.NewRecorder()
		site.ServeHTTP(answer, back)
		if answer.Code != http.StatusOK {
			t.Errorf("%s says %q: its cookie is answered %d where it says %q", c.from, c.said, answer.Code, c.live)
		}
	}
}

// behindAProxy is a site whose owner has named a proxy and the name by which the proxy is asked.
func behindAProxy(t *testing.T, gate *auth.Gate) http.Handler {
	t.Helper()
	proxies, err := clientnet.ParseProxies([]string{"10.0.0.5"})
	if err != nil {
		t.Fatal(err)
	}
	server, err := New(Settings{Listen: "127.0.0.1:0", Device: "box", Hosts: []string{"porch.example.org", "2001:DB8:0::7"}, Proxies: proxies, Auth: gate,
		SessionMost: time.Hour}, oneCamera{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.closeStudios)
	return server.Handler()
}

// passedOnBy is a request for the device that some connection brings.
func passedOnBy(from, host string, header ...string) *http.Request {
	asked := request("/healthz", header...)
	asked.RemoteAddr, asked.Host = from, host
	return asked
}

func TestWhoseProxyIsBelievedAboutTheHost(t *testing.T) {
	site := behindAProxy(t, nil)
	const ours, port = "porch.example.org", "porch.example.org:8443"
	for name, c := range map[string]struct {
		asked *http.Request
		want  int
	}{
		"the page's host, told":             {passedOnBy(proxy, "127.0.0.1:8080", forwardedHost, port, "Origin", "https://"+port), http.StatusOK},
		"the nearest proxy's word":          {passedOnBy(proxy, "127.0.0.1:8080", forwardedHost, "evil.example, "+ours, "Origin", "https://"+ours), http.StatusOK},
		"the page's name, known":            {passedOnBy(proxy, "127.0.0.1:8080", "Origin", "https://Porch.example.org"), http.StatusOK},
		"the page's IPv6 address, known":    {passedOnBy(proxy, "127.0.0.1:8080", "Origin", "https://[2001:db8::7]"), http.StatusOK},
		"the page's IPv6 address, asked":    {passedOnBy(proxy, "[2001:db8::7]:8443", "Origin", "https://[2001:db8::7]:8443"), http.StatusOK},
		"another port of our IPv6 address":  {passedOnBy(proxy, "127.0.0.1:8080", "Origin", "https://[2001:db8::7]:8443"), http.StatusForbidden},
		"by itself":                         {passedOnBy(proxy, "box.local", "Origin", "http://box.local"), http.StatusOK},
		"a stranger tells a host":           {passedOnBy(stranger, "127.0.0.1:8080", forwardedHost, ours, "Origin", "https://"+ours), http.StatusForbidden},
		"a stranger at a changed host":      {passedOnBy(stranger, "127.0.0.1:8080", "Origin", "https://"+ours), http.StatusForbidden},
		"told without the port":             {passedOnBy(proxy, port, forwardedHost, ours, "Origin", "https://"+port), http.StatusOK},
		"the usual port, said":              {passedOnBy(stranger, "box.local:443", "Origin", "https://box.local"), http.StatusOK},
		"another scheme's port":             {passedOnBy(stranger, "box.local:443", "Origin", "http://box.local"), http.StatusForbidden},
		"somebody's own at the proxy's":     {passedOnBy(proxy, "127.0.0.1:8080", forwardedHost, ours, "Origin", "http://127.0.0.1:8080"), http.StatusForbidden},
		"a page that says it is another":    {passedOnBy(proxy, ours, "Origin", "https://evil.example", pageOrigin, "https://"+ours), http.StatusForbidden},
		"another site":                      {passedOnBy(proxy, "127.0.0.1:8080", forwardedHost, ours, "Origin", "https://evil.example"), http.StatusForbidden},
		"another site, as the browser says": {passedOnBy(proxy, "127.0.0.1:8080", "Origin", "https://"+ours, "Sec-Fetch-Site", "cross-site"), http.StatusForbidden},
		"another port of our name":          {passedOnBy(proxy, "127.0.0.1:8080", "Origin", "https://"+port), http.StatusForbidden},
		"somebody's own machine":            {passedOnBy(proxy, "127.0.0.1:8080", "Origin", "http://localhost"), http.StatusForbidden},
		"no origin at all":                  {passedOnBy(proxy, "127.0.0.1:8080", "Origin", "null"), http.StatusForbidden},
		"a told host that is not ours":      {passedOnBy(proxy, "127.0.0.1:8080", forwardedHost, "evil.example"), http.StatusMisdirectedRequest},
		"a page that tells for the proxy":   {passedOnBy(proxy, "evil.example", forwardedHost, ours), http.StatusMisdirectedRequest},
	} {
		answer := httptest.NewRecorder()
		site.ServeHTTP(answer, c.asked)
		if answer.Code != c.want {
			t.Errorf("%s: %d %s, want %d", name, answer.Code, answer.Body, c.want)
		}
	}
}

// TestAPageThatGotNoWebSocketIsToldWhichHostArrived: a browser sends Origin with a WebSocket, and none when the page asks plainly why.
func TestAPageThatGotNoWebSocketIsToldWhichHostArrived(t *testing.T) {
	site := behindAProxy(t, nil)
	const page = "https://cam.example.org"
	for _, header := range [][]string{{"Origin", page}, {pageOrigin, page}, {pageOrigin, page, "Sec-Fetch-Site", "same-origin"}} {
		answer := httptest.NewRecorder()
		site.ServeHTTP(answer, passedOnBy(proxy, "127.0.0.1:8080", header...))
		said := answer.Body.String()
		if answer.Code != http.StatusForbidden || !strings.Contains(said, page) || !strings.Contains(said, "127.0.0.1:8080") || !strings.Contains(said, "proxy_set_header Host") {
			t.Errorf("%q: %d %s", header, answer.Code, said)
		}
	}
	answer := httptest.NewRecorder()
	site.ServeHTTP(answer, passedOnBy(proxy, "cam.example.org", "Origin", page))
	if said := answer.Body.String(); answer.Code != http.StatusMisdirectedRequest || !strings.Contains(said, "cam.example.org") || !strings.Contains(said, "web.hosts") {
		t.Errorf("a host that is not ours: %d %s", answer.Code, said)
	}
}

// TestAProxyThatTellsTwoHostsIsNamedByWhatIsWrong: the remedy is another one for each of the two headers.
func TestAProxyThatTellsTwoHostsIsNamedByWhatIsWrong(t *testing.T) {
	site := behindAProxy(t, nil)
	const ours, host = "porch.example.org", "proxy_set_header Host $http_host"
	for name, c := range map[string]struct {
		asked *http.Request
		code  int
		says  []string
	}{
		"another port": {passedOnBy(proxy, "box.local", forwardedHost, ours, "Origin", "https://porch.example.org:8443"), http.StatusForbidden,
			[]string{`"porch.example.org" (X-Forwarded-Host)`, `"box.local" (Host)`, "proxy_set_header X-Forwarded-Host $http_host"}},
		"another name": {passedOnBy(proxy, "box.local", forwardedHost, ours, "Origin", "https://cam.example.org"), http.StatusForbidden,
			[]string{"proxy_set_header X-Forwarded-Host $http_host", "web.hosts"}},
		"another port, not told": {passedOnBy(proxy, "box.local", "Origin", "https://porch.example.org:8443"), http.StatusForbidden, []string{host}},
		"another name, not told": {passedOnBy(proxy, "box.local", "Origin", "https://cam.example.org"), http.StatusForbidden, []string{host, "web.hosts"}},
		"the proxy's own": {passedOnBy(proxy, "visavis_devices", forwardedHost, ours), http.StatusMisdirectedRequest,
			[]string{`"visavis_devices" (Host)`, host, "web.hosts"}},
		"the proxy's own alone": {passedOnBy(proxy, "visavis_devices"), http.StatusMisdirectedRequest, []string{host, "web.hosts"}},
		"what it tells":         {passedOnBy(proxy, ours, forwardedHost, "evil.example"), http.StatusMisdirectedRequest, []string{`"evil.example" (X-Forwarded-Host)`, "web.hosts"}},
	} {
		answer := httptest.NewRecorder()
		site.ServeHTTP(answer, c.asked)
		var told struct{ Detail string }
		if err := json.Unmarshal(answer.Body.Bytes(), &told); err != nil || answer.Code != c.code {
			t.Errorf("%s: %d %s", name, answer.Code, answer.Body)
		}
		if strings.Contains(told.Detail, "web.hosts") && !slices.Contains(c.says, "web.hosts") {
			t.Errorf("%s: web.hosts, which cannot help, is in %q", name, told.Detail)
		}
		for _, words := range c.says {
			if !strings.Contains(told.Detail, words) {
				t.Errorf("%s: %q is not in %q", name, words, told.Detail)
			}
		}
	}
}

// TestEveryAddressIsNoName: what a device listens at is one of its names, unless that is every address that it has.
func TestEveryAddressIsNoName(t *testing.T) {
	l := serveLocked(t)
	proxies, err := clientnet.ParseProxies([]string{"10.0.0.5"})
	if err != nil {
		t.Fatal(err)
	}
	for _, listen := range []string{":8080", "0.0.0.0:8080", "[::]:8080"} {
		server, err := New(Settings{Listen: listen, Device: "box", Proxies: proxies, Auth: l.gate}, oneCamera{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.closeStudios)
		site := server.Handler()
		for _, c := range []struct {
			host, origin string
			want         int
		}{
			{"box", "http://box", http.StatusUnauthorized}, {"box", "null", http.StatusForbidden}, {"box", "http://0.0.0.0", http.StatusForbidden},
			{"", "", http.StatusMisdirectedRequest}, {"0.0.0.0:8080", "", http.StatusMisdirectedRequest}, {"[::]:8080", "", http.StatusMisdirectedRequest},
		} {
			asked, answer := passedOnBy(proxy, c.host, "Origin", c.origin), httptest.NewRecorder()
			asked.URL.Path = "/api/v1/status" // checks need no name, and this a login
			site.ServeHTTP(answer, asked)
			if answer.Code != c.want {
				t.Errorf("listening at %s, %q is asked by %q: %d, want %d", listen, c.host, c.origin, answer.Code, c.want)
			}
		}
	}
}

// TestAPolicyNamesTheSocketsOfBothHosts of which one may lack the port: Safari before 16 opens no others.
func TestAPolicyNamesTheSocketsOfBothHosts(t *testing.T) {
	site := behindAProxy(t, nil)
	for told, want := range map[string]string{
		"porch.example.org": " ws://porch.example.org wss://porch.example.org ws://box:8443 wss://box:8443",
		"box:8443":          " ws://box:8443 wss://box:8443",
	} {
		asked := passedOnBy(proxy, "box:8443", forwardedHost, told)
		asked.URL.Path = "/"
		answer := httptest.NewRecorder()
		site.ServeHTTP(answer, asked)
		if got := answer.Header().Get("Content-Security-Policy"); answer.Code != http.StatusOK || got != pagePolicy+want {
			t.Errorf("where %s is told: %d %q, want %q at its end", told, answer.Code, got, want)
		}
	}
}

// TestBehindThePROXYProtocolNoHeaderIsBelieved: who passes TCP on passes on what clients write.
func TestBehindThePROXYProtocolNoHeaderIsBelieved(t *testing.T) {
	l := serveLocked(t)
	l.add(t, "anna", "viewer", annasPassword, "*")
	proxies, err := clientnet.ParseProxies([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	at := serveBehind(t, Settings{Listen: "127.0.0.1:0", Device: "box", Proxies: proxies, Auth: l.gate, SessionMost: time.Hour})
	for first, secure := range map[string]bool{
		"": true, "PROXY TCP4 203.0.113.7 203.0.113.1 1234 443\r\n": false,
		"PROXY TCP4 127.0.0.77 203.0.113.1 1234 443\r\n": false, "PROXY UNKNOWN\r\n": false, // the client is a proxy, or the proxy itself
	} {
		connection, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		asks := fmt.Sprintf("POST /api/v1/login HTTP/1.1\r\nHost: box\r\nX-Forwarded-Proto: https\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
			jsonType, len(annasLogin()), annasLogin())
		if err := writeAll(connection, first+asks); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if cookies := answer.Cookies(); len(cookies) != 1 || cookies[0].Secure != secure {
			t.Errorf("after %q: %d %v", first, answer.StatusCode, cookies)
		}
	}
}

// TestOnlyChecksNeedNoHost as HAProxy asks by itself; a page is shown to nobody who names no host.
func TestOnlyChecksNeedNoHost(t *testing.T) {
	site := behindAProxy(t, nil)
	for path, refused := range map[string]bool{"/healthz": false, "/readyz": false, "/v2/health/live": false, "/v2/health/ready": false, "/api/v1/status": true} {
		asked := passedOnBy(proxy, "")
		asked.URL.Path = path
		answer := httptest.NewRecorder()
		site.ServeHTTP(answer, asked)
		if (answer.Code == http.StatusMisdirectedRequest) != refused {
			t.Errorf("%s without a host: %d, want a refusal to be %t", path, answer.Code, refused)
		}
	}
}
