// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"visavis/capture/internal/clientnet"
	"visavis/capture/internal/logtest"
	"visavis/capture/internal/openinference/wire"
	"visavis/capture/internal/requestlog"
	"visavis/capture/internal/waiting"
)

// heard is a log that is read while others write.
type heard struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func hearLog(t *testing.T) *heard {
	t.Helper()
	h := &heard{}
	logtest.Hear(t, slog.NewJSONHandler(h, nil))
	return h
}

func (h *heard) Write(line []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(line)
}

// lines are those about calls so far.
func (h *heard) lines(t *testing.T) (lines []map[string]any) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	for decoder := json.NewDecoder(bytes.NewReader(h.text.Bytes())); decoder.More(); {
		line := map[string]any{}
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if line["msg"] == "request answered" {
			lines = append(lines, line)
		}
	}
	return lines
}

// called makes a call with metadata, and returns the header of the answer.
func called(t *testing.T, connection *grpc.ClientConn, method string, pairs ...string) (metadata.MD, error) {
	t.Helper()
	var header metadata.MD
	ctx := metadata.AppendToOutgoingContext(waiting.Context(t), pairs...)
	asked, said := &wire.ModelReadyRequest{Name: "yunet"}, &wire.ModelReadyResponse{}
	err := connection.Invoke(ctx, "/"+serviceName+"/"+method, asked, said, grpc.Header(&header))
	return header, err
}

func TestACallIsFoundAgainInItsAnswerAndTheLog(t *testing.T) {
	const traceID, parentID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	log := hearLog(t)
	b := open(t, func(s *Settings) { s.Log = requestlog.New(requestlog.All) })
	connection := b.dial(t, insecure.NewCredentials())
	for method, want := range map[string]struct{ status, level string }{
		"ServerLive": {"OK", "INFO"}, "ModelReady": {"NotFound", "INFO"}, "ModelInfer": {"Unavailable", "WARN"}, "ModelConfig": {"Unimplemented", "INFO"},
	} {
		header, err := called(t, connection, method, "x-request-id", "shop-17:"+method, "traceparent", "00-"+traceID+"-"+parentID+"-01")
		if got := strings.Join(header.Get("x-request-id"), " "); got != "shop-17:"+method || status.Code(err).String() != want.status {
			t.Errorf("%s: the answer carries %q, and %v", method, got, err)
		}
		lines := log.lines(t)
		line := lines[len(lines)-1]
		for key, wanted := range map[string]string{
			"request_id": "shop-17:" + method, "trace_id": traceID, "parent_id": parentID, "path": "/" + serviceName + "/" + method, "status": want.status,
			"level": want.level,
		} {
			if line[key] != wanted {
				t.Errorf("%s: %s is %v in the log, want %s", method, key, line[key], wanted)
			}
		}
	}
	header, _ := called(t, connection, "ServerLive", "x-request-id", "two words")
	if got := strings.Join(header.Get("x-request-id"), " "); got == "" || got == "two words" {
		t.Errorf("an id that cannot be used became %q", got)
	}
}

func TestCallsGetLinesAsTheSettingSaysAndAFloodIsThinnedOut(t *testing.T) {
	const calls = 200
	for which, most := range map[string]int{requestlog.Refused: calls / 2, requestlog.None: 0} {
		log := hearLog(t)
		b := open(t, func(s *Settings) { s.Log = requestlog.New(which) })
		connection := b.dial(t, insecure.NewCredentials())
		for range calls {
			_, _ = called(t, connection, "ServerLive")
			_, _ = called(t, connection, "ModelReady")
		}
		lines := log.lines(t)
		if len(lines) > most || most > 0 && len(lines) == 0 {
			t.Errorf("%s: %d lines about %d refusals", which, len(lines), calls)
		}
		for _, line := range lines {
			if line["status"] != "NotFound" {
				t.Errorf("%s: %v", which, line)
			}
		}
	}
}

func TestAStreamThatItsClientEndsBlamesNobody(t *testing.T) {
	log := hearLog(t)
	b := open(t, func(*Settings) {})
	both := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	ctx, cancel := context.WithCancel(waiting.Context(t))
	stream, err := b.dial(t, insecure.NewCredentials()).NewStream(ctx, both, "/"+serviceName+"/ModelStreamInfer")
	if err != nil {
		t.Fatal(err)
	}
	taken(t, stream)
	cancel()
	waiting.Until(t, "its line is there", func() bool { return len(log.lines(t)) > 0 })
	if line := log.lines(t)[0]; line["status"] != "Canceled" || line["level"] != "INFO" {
		t.Errorf("%v", line)
	}
}

func TestACallWhoseTimeIsOverIsNoUnknownError(t *testing.T) {
	if code := status.Code(asStatus(context.DeadlineExceeded)); code != codes.DeadlineExceeded {
		t.Errorf("it is %v", code)
	}
}

func TestWhatAProxySaysAboutItsClientIsBelieved(t *testing.T) {
	for _, c := range []struct{ proxy, found string }{{"127.0.0.1", "203.0.113.7:0"}, {"192.0.2.1", "127.0.0.1:"}} {
		proxies, err := clientnet.ParseProxies([]string{c.proxy})
		if err != nil {
			t.Fatal(err)
		}
		log := hearLog(t)
		b := open(t, func(s *Settings) { s.Proxies = proxies })
		if _, err := called(t, b.dial(t, insecure.NewCredentials()), "ModelReady", "x-forwarded-for", "203.0.113.7"); err == nil {
			t.Error("another model is ready")
		}
		if client := log.lines(t)[0]["client"].(string); !strings.HasPrefix(client, c.found) {
			t.Errorf("with the proxy %s the client is %s, want %s", c.proxy, client, c.found)
		}
	}
}

// TestBehindThePROXYProtocolNoMetadataIsBelieved: who passes TCP on passes on what clients write.
func TestBehindThePROXYProtocolNoMetadataIsBelieved(t *testing.T) {
	proxies, err := clientnet.ParseProxies([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	for first, found := range map[string]string{
		"": "198.51.100.9:0", "PROXY TCP4 203.0.113.7 203.0.113.1 1234 443\r\n": "203.0.113.7:1234",
		"PROXY TCP4 127.0.0.77 203.0.113.1 1234 443\r\n": "127.0.0.77:1234", "PROXY UNKNOWN\r\n": "127.0.0.1:",
	} {
		log := hearLog(t)
		b := open(t, func(s *Settings) { s.Proxies = proxies })
		connection := b.dial(t, insecure.NewCredentials(), grpc.WithContextDialer(saying(first)))
		if _, err := called(t, connection, "ModelReady", "x-forwarded-for", "198.51.100.9"); err == nil {
			t.Error("another model is ready")
		}
		if client := log.lines(t)[0]["client"].(string); !strings.HasPrefix(client, found) {
			t.Errorf("after %q the client is %s, want %s", first, client, found)
		}
	}
}

// saying makes connections that begin with these words.
func saying(first string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, address string) (net.Conn, error) {
		var dialer net.Dialer
		connection, err := dialer.DialContext(ctx, "tcp", address)
		if err == nil {
			_, err = io.WriteString(connection, first)
		}
		return connection, err
	}
}
