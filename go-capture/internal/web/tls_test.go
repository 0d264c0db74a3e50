// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"visavis/capture/internal/certificate"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/waiting"
)

// trustful is a browser that knows the certificate in a file.
func (l *locked) trustful(t *testing.T, file string) *http.Client {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(text)
	client := l.browser(t)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	client.Transport = transport
	return client
}

func TestOverHTTPSThereAreASecureCookieAStreamAndAWebSocket(t *testing.T) {
	l := serveLocked(t)
	file := filepath.Join(t.TempDir(), "box.pem")
	kept, err := certificate.SelfMade(file, []string{"box"})
	if err != nil {
		t.Fatal(err)
	}
	l.running = serveSettings(t, Settings{Listen: "127.0.0.1:0", Auth: l.gate, TLS: kept.Config()}, twoCameras{})
	l.add(t, "anna", "viewer", annasPassword, "*")
	anna := l.trustful(t, file)
	answer, _ := l.post(t, anna, "/api/v1/login", annasLogin())
	if cookie := answer.Cookies()[0]; cookie.Name != "__Host-visavis_box" || !cookie.Secure || answer.ProtoMajor != 1 {
		t.Fatalf("the cookie is %s, over HTTP/%d", answer.Header.Get("Set-Cookie"), answer.ProtoMajor)
	}
	stream, err := anna.Get(l.url + "/api/v1/cameras/door/stream.mjpeg")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	live, _, err := websocket.Dial(context.Background(), l.url+"/api/v1/cameras/door/live", &websocket.DialOptions{HTTPClient: anna})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = live.CloseNow() }() // the end of the test
	waiting.Until(t, "both watch", func() bool { return l.figures().Now == 2 })
	l.show(frame.NewPool(2), 7)
	if detections, _ := receive(t, live); detections != seqText(7) {
		t.Errorf("the WebSocket brings %s", detections)
	}
	if line, err := bufio.NewReader(stream.Body).ReadString('\n'); err != nil || !strings.HasPrefix(line, "--") {
		t.Errorf("the stream begins with %q, %v", line, err)
	}
}
