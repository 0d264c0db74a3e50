// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"visavis/capture/internal/problem"
	"visavis/capture/internal/waiting"
)

const (
	anAddress = "192.0.2.9:1" // of a proxy
	ourProxy  = "192.0.2.9"
	proxyNet  = "10.0.0.0/8"
)

// FuzzRequest: whatever request of a stranger net/http reads, the site answers it, never with an error of its own, and says no with a
// problem. All routes, the guard, proxies, logins, conditions, ranges and bodies are behind it.
func FuzzRequest(f *testing.F) {
	for _, text := range []string{
		"GET / HTTP/1.1\r\nHost: box.local\r\nRange: bytes=0-,-1\r\n\r\n",
		"GET /app.css HTTP/1.1\r\nHost: box\r\nIf-None-Match: W/\"x\", *\r\n\r\n",
		"GET /api/v1/events?since=0&type=gone HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\nLast-Event-ID: 0\r\n\r\n",
		"GET /api/v1/cameras/%2e%2e/live HTTP/1.1\r\nHost: [::1]:80\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
		"POST /api/v1/detect?input=full HTTP/1.1\r\nHost: box\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"image\":\"\"}",
		"POST /api/v1/login HTTP/1.1\r\nHost: box\r\nContent-Type: application/json; charset=x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"POST /api/v1/claim HTTP/1.1\r\nHost: box\r\nOrigin: http://box\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n{\"code\"",
		"GET /metrics HTTP/1.0\r\nHost: box\r\nAuthorization: Bearer vis_aaaaaaaa_b\r\nCookie: visavis_box=a; visavis_box=\"b\"\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: \r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n\r\n",
		"GET http://evil.example//api/../../etc/passwd HTTP/1.1\r\nHost: box\r\nTraceparent: 00-\r\nX-Request-Id: \t\r\n\r\n",
		"GET /readyz HTTP/1.1\r\nHost: box\r\nX-Forwarded-For: 10.9.9.9, 198.51.100.1, 203.0.113.7\r\nX-Forwarded-For:10.1.2.3 , 192.0.2.9\r\n\r\n",
		"GET /readyz HTTP/1.1\r\nHost: box\r\nX-Forwarded-For: 203.0.113.7, junk, ::ffff:10.1.2.3\r\n\r\n",
		"GET /readyz HTTP/1.1\r\nHost: box\r\nX-Forwarded-For: 10.1.2.3, fe80::1%25eth0,\r\nX-Forwarded-For: fe80::1%eth0\r\n\r\n",
	} {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	behind := fmt.Sprintf("VISAVIS_WEB__PROXIES=[%q, %q]", ourProxy, proxyNet)
	open := configured(f, behind).web.Handler()
	locked := configured(f, behind, "VISAVIS_AUTH__ENABLED=true", "VISAVIS_AUTH__FILE="+f.TempDir()+"/credentials.toml").web.Handler()
	f.Fuzz(func(t *testing.T, text []byte, wantsLogin bool) {
		request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil || bytes.Contains(text, []byte("Expect")) {
			return
		}
		gone, leave := context.WithCancel(context.Background())
		leave()
		request = request.WithContext(gone)
		site := open
		if wantsLogin {
			site = locked
		}
		request.RemoteAddr = anAddress
		answer := httptest.NewRecorder()
		answered := make(chan struct{})
		go func() { site.ServeHTTP(answer, request); close(answered) }()
		waiting.For(t, "the answer", answered)
		checkAnswer(t, answer)
		checkClient(t, request)
	})
}

// checkClient wants the client's address to be its peer's, or one in X-Forwarded-For behind which only proxies of ours stand: whatever
// stands before that, a stranger may have written.
func checkClient(t *testing.T, request *http.Request) {
	t.Helper()
	may := []string{anAddress}
	hops := strings.Split(strings.Join(request.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		address, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		address = address.Unmap().WithZone("")
		may = append(may, netip.AddrPortFrom(address, 0).String())
		if address != netip.MustParseAddr(ourProxy) && !netip.MustParsePrefix(proxyNet).Contains(address) {
			may = may[len(may)-1:] // a stranger is never taken for one of the proxies
			break
		}
	}
	if !slices.Contains(may, request.RemoteAddr) {
		t.Errorf("%q comes from %s, and may come from %v", hops, request.RemoteAddr, may)
	}
}

func checkAnswer(t *testing.T, answer *httptest.ResponseRecorder) {
	t.Helper()
	code, header := answer.Code, answer.Result().Header
	if code >= 500 && code != http.StatusServiceUnavailable {
		t.Errorf("%d: %s", code, answer.Body)
	}
	for name, values := range header {
		if strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") {
			t.Errorf("%s: %q", name, values)
		}
	}
	if code < 400 {
		return
	}
	var told problem.Problem
	if answer.Body.Len() > 0 && (json.Unmarshal(answer.Body.Bytes(), &told) != nil || told.Status != code || header.Get("Content-Type") != problem.ContentType) {
		t.Errorf("%d is told as %s: %s", code, header.Get("Content-Type"), answer.Body)
	}
}
