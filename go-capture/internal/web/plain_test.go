// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"visavis/capture/internal/certificate"
	"visavis/capture/internal/clientnet"
)

// encrypted are the settings of a page with a certificate of its own.
func encryptedSettings(t *testing.T) Settings {
	t.Helper()
	kept, err := certificate.SelfMade(filepath.Join(t.TempDir(), "box.pem"), []string{"box"})
	if err != nil {
		t.Fatal(err)
	}
	return Settings{Listen: "127.0.0.1:0", Device: "box", TLS: kept.Config(), Hosts: []string{"porch.example.org"}}
}

// plainly sends a request without encryption; nil when the connection ends without an answer.
func (r *running) plainly(t *testing.T, request string) *http.Response {
	t.Helper()
	connection := dialled(t, r.url)
	if err := writeAll(connection, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	answer, err := http.ReadResponse(bufio.NewReader(connection), &http.Request{Method: method})
	if err != nil {
		return nil
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func TestWhoAsksWithoutEncryptionIsSentToThePageThatHasIt(t *testing.T) {
	r := serveSettings(t, encryptedSettings(t), oneCamera{})
	at := strings.TrimPrefix(r.url, "https://")
	upgrade := "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	for name, c := range map[string]struct{ request, page string }{
		"a page":            {"GET /try?a=1&b=%2F HTTP/1.1\r\nHost: " + at + "\r\n\r\n", "https://" + at + "/try?a=1&b=%2F"},
		"its headers":       {"HEAD / HTTP/1.1\r\nHost: " + at + "\r\n\r\n", "https://" + at + "/"},
		"a name":            {"GET / HTTP/1.1\r\nHost: Box.local.:8443\r\n\r\n", "https://box.local:8443/"},
		"a name of web":     {"GET / HTTP/1.1\r\nHost: porch.example.org:8443\r\n\r\n", "https://porch.example.org:8443/"},
		"the usual port":    {"GET / HTTP/1.1\r\nHost: box\r\n\r\n", "https://box:80/"},
		"IPv6":              {"GET / HTTP/1.1\r\nHost: [::1]:8443\r\n\r\n", "https://[::1]:8443/"},
		"an encoded path":   {"GET /a%2Fb HTTP/1.1\r\nHost: box:1\r\n\r\n", "https://box:1/a%2Fb"},
		"a path with hosts": {"GET //evil.example/ HTTP/1.1\r\nHost: box:1\r\n\r\n", "https://box:1//evil.example/"},
		"a WebSocket":       {"GET /live HTTP/1.1\r\nHost: box:1\r\n" + upgrade + "\r\n", "https://box:1/live"},
	} {
		answer := r.plainly(t, c.request)
		if answer == nil || answer.StatusCode != http.StatusTemporaryRedirect || answer.Header.Get("Location") != c.page || !answer.Close {
			t.Errorf("%s: %+v, want %s", name, answer, c.page)
		}
	}
}

func TestWhoIsNotSentElsewhereIsToldOfHTTPS(t *testing.T) {
	settings := encryptedSettings(t)
	r := serveSettings(t, settings, oneCamera{})
	for name, request := range map[string]string{
		"a command":             "POST /api/v1/login HTTP/1.1\r\nHost: box:1\r\nContent-Length: 2\r\n\r\n{}",
		"a long command":        "POST /api/v1/detect HTTP/1.1\r\nHost: box:1\r\nContent-Length: 8388608\r\n\r\n" + strings.Repeat("x", 8<<20),
		"a foreign name":        "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
		"a whole address":       "GET http://evil.example/ HTTP/1.1\r\nHost: box:1\r\n\r\n",
		"no name":               "GET / HTTP/1.0\r\n\r\n",
		"a name with a login":   "GET / HTTP/1.1\r\nHost: box:80@evil.example\r\n\r\n",
		"a name with a path":    "GET / HTTP/1.1\r\nHost: box:80/evil.example\r\n\r\n",
		"an empty port":         "GET / HTTP/1.1\r\nHost: box:\r\n\r\n",
		"a proxy":               "GET / HTTP/1.1\r\nHost: box:1\r\nX-Forwarded-Proto: https\r\n\r\n",
		"no HTTP":               "EHLO box\r\n\r\n",
		"the preface of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		answer := r.plainly(t, request)
		if answer == nil {
			t.Errorf("%s gets no answer", name)
			continue
		}
		body, err := io.ReadAll(answer.Body)
		if answer.StatusCode != http.StatusBadRequest || answer.Header.Get("Location") != "" || err != nil || !strings.Contains(string(body), "https://") {
			t.Errorf("%s: %+v %q %v", name, answer, body, err)
		}
	}
}

func TestAProxyOfTheSettingsIsNotSentElsewhere(t *testing.T) {
	settings := encryptedSettings(t)
	var err error
	if settings.Proxies, err = clientnet.ParseProxies([]string{"127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	r := serveSettings(t, settings, oneCamera{})
	if answer := r.plainly(t, "GET / HTTP/1.1\r\nHost: box:1\r\n\r\n"); answer == nil || answer.StatusCode != http.StatusBadRequest {
		t.Errorf("it is answered %+v", answer)
	}
}

// TestHTTPWithoutEncryptionHoldsAConnectionNoLongerThanAHandshake: it ends, or this test does not.
func TestHTTPWithoutEncryptionHoldsAConnectionNoLongerThanAHandshake(t *testing.T) {
	settings := encryptedSettings(t)
	settings.AnswerTimeout = 50 * time.Millisecond // bounds a handshake too
	r := serveSettings(t, settings, oneCamera{})
	for name, begun := range map[string]string{
		"nothing": "", "a letter": "G", "half a header": "GET / HTTP/1.1\r\nHost: box:1\r\n",
		"no body": "POST / HTTP/1.1\r\nHost: box:1\r\nContent-Length: 5\r\n\r\n",
	} {
		connection := dialled(t, r.url)
		if err := writeAll(connection, begun); err != nil && !isCut(err) {
			t.Fatal(err)
		}
		said, err := io.ReadAll(connection)
		if err != nil && !isCut(err) || len(said) > 0 && name != "no body" {
			t.Errorf("%s: %q, %v", name, said, err)
		}
	}
}

// isCut tells that the server closed it before it had read all: that ends it, too.
func isCut(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func TestAnEndlessHeaderWithoutEncryptionIsReadToItsBoundAlone(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	sent := make(chan int, 1)
	go func() {
		n, _ := there.Write([]byte("GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 10*maxHeaderBytes))) // it is cut off
		sent <- n
	}()
	server, err := New(encryptedSettings(t), oneCamera{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.closeStudios()
	if err := here.SetWriteDeadline(time.Now()); err != nil { // nobody reads the answer
		t.Fatal(err)
	}
	if _, err := (&maybePlain{Conn: here, server: server}).Read(make([]byte, 512)); err != errPlain {
		t.Error(err)
	}
	here.Close()
	if n := <-sent; n > maxHeaderBytes+512 {
		t.Errorf("%d bytes are read", n)
	}
}

// TestBehindABalancerOfTCPAnEncryptedConnectionIsItsClients: what looks at the first byte hides neither the balancer nor its words.
func TestBehindABalancerOfTCPAnEncryptedConnectionIsItsClients(t *testing.T) {
	settings := encryptedSettings(t)
	settings.MaxPerAddress = 1
	var err error
	if settings.Proxies, err = clientnet.ParseProxies([]string{"127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	r := "https://" + serveBehind(t, settings)
	silent := dialled(t, r)
	for _, c := range []struct {
		client string
		in     bool
	}{{"203.0.113.7", true}, {"203.0.113.7", false}, {"203.0.113.8", true}} {
		if err := encryptedFor(dialled(t, r), c.client); (err == nil) != c.in {
			t.Errorf("%s: %v", c.client, err)
		}
	}
	if err := encryptedFor(silent, "203.0.113.10"); err != nil {
		t.Errorf("one that says later whose it is was waited for, and holds the others up: %v", err)
	}
	page := plainThrough(t, r, "PROXY TCP4 203.0.113.9 203.0.113.1 1234 443\r\nGET / HTTP/1.1\r\nHost: porch.example.org:8443\r\n\r\n")
	if page != "https://porch.example.org:8443/" {
		t.Errorf("who asks through it in HTTP is sent to %q", page)
	}
}

func dialled(t *testing.T, at string) net.Conn {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(at, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

// encryptedFor lets a balancer say whose a connection is, and its client encrypt it.
func encryptedFor(connection net.Conn, client string) error {
	if err := writeAll(connection, "PROXY TCP4 "+client+" 203.0.113.1 1234 443\r\n"); err != nil {
		return err
	}
	return tls.Client(connection, &tls.Config{InsecureSkipVerify: true}).Handshake() // the certificate is not the question here
}

// serveBehind serves where balancers of TCP may speak first.
func serveBehind(t *testing.T, settings Settings) (address string) {
	t.Helper()
	server, err := New(settings, oneCamera{})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := server.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx, end := context.WithCancel(context.Background())
	go func() { ended <- server.Serve(ctx, settings.Proxies.Listener(listener)) }()
	t.Cleanup(func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return listener.Addr().String()
}

func plainThrough(t *testing.T, at, request string) (page string) {
	t.Helper()
	if answer := (&running{url: at}).plainly(t, request); answer != nil {
		page = answer.Header.Get("Location")
	}
	return page
}
