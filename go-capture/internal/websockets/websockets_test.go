// SPDX-License-Identifier: Apache-2.0

package websockets

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"visavis/capture/internal/problem"
	"visavis/capture/internal/waiting"
)

func serve(t *testing.T) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		socket, err := Accept(w, r)
		if err != nil {
			return
		}
		_ = socket.Write(r.Context(), websocket.MessageText, []byte("hello"))
		_ = socket.Close(websocket.StatusNormalClosure, "")
	}))
	t.Cleanup(server.Close)
	return server
}

func TestAWebSocketOpens(t *testing.T) {
	socket, _, err := websocket.Dial(context.Background(), serve(t).URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, text, err := socket.Read(context.Background()); err != nil || string(text) != "hello" {
		t.Errorf("%q, %v", text, err)
	}
}

// line notices that it is cut, by whoever has it.
type line struct {
	net.Conn
	cut atomic.Bool
}

func (l *line) SetDeadline(at time.Time) error {
	l.cut.Store(at.Before(time.Now()))
	return l.Conn.SetDeadline(at)
}

// The library's own patience, of 5 s, ends it, too: but not where it hangs in the middle of a message.
func TestAClientThatDoesNotAgreeToTheEndIsCutOff(t *testing.T) {
	cut := make(chan bool, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		socket, err := Accept(w, r)
		if err != nil {
			return
		}
		noticed := &line{Conn: socket.line}
		socket.line = noticed
		GoAway(socket, "the device stops")
		cut <- noticed.cut.Load()
	}))
	defer server.Close()
	silent, _, err := websocket.Dial(waiting.Context(t), server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.CloseNow() }() // it is cut
	if !waiting.For(t, "the end", cut) {
		t.Error("only the library's own patience ended it")
	}
}

func TestWhatCannotBecomeAWebSocketIsRefusedWithAProblem(t *testing.T) {
	server := serve(t)
	for name, header := range map[string]http.Header{
		"no key":      {"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}},
		"old version": {"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"8"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}},
		"not asked":   {},
	} {
		request, _ := http.NewRequest(http.MethodGet, server.URL, nil)
		request.Header = header
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		var told problem.Problem
		if err := json.NewDecoder(answer.Body).Decode(&told); err != nil || answer.Header.Get("Content-Type") != problem.ContentType {
			t.Errorf("%s: %v, %s", name, err, answer.Header.Get("Content-Type"))
		}
		if answer.StatusCode < 400 || told.Status != answer.StatusCode || !strings.Contains(told.Detail, "WebSocket") {
			t.Errorf("%s: %d, %+v", name, answer.StatusCode, told)
		}
		_ = answer.Body.Close()
	}
}

// What follows the request would be taken for the first message.
func TestARequestWithABodyBecomesNoWebSocket(t *testing.T) {
	server := serve(t)
	for name, body := range map[string]io.Reader{"of a known size": strings.NewReader("{}"), "in chunks": io.MultiReader(strings.NewReader("{}"))} {
		request, _ := http.NewRequest(http.MethodGet, server.URL, body)
		request.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != http.StatusBadRequest || !answer.Close || answer.Header.Get("Content-Type") != problem.ContentType {
			t.Errorf("%s: %d, %v", name, answer.StatusCode, answer.Header)
		}
		_ = answer.Body.Close()
	}
}
