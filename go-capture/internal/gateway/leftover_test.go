// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/waiting"
)

// Whoever was refused may still send its body, later than anybody waits for it: that must not be read as another request, which a proxy
// in between knows nothing of.
func TestARestOfABodyIsNoRequest(t *testing.T) {
	t.Parallel()
	connection, answers := refusedBeforeItsBody(t, 100)
	_, _ = io.WriteString(connection, "{")
	time.Sleep(drainTimeout + drainTimeout/4) // what comes earlier is read as what it is
	_, _ = io.WriteString(connection, "GET /v2/health/live HTTP/1.1\r\nHost: box\r\n\r\n")
	if smuggled, err := http.ReadResponse(answers, nil); err == nil {
		t.Errorf("it is answered with %s", smuggled.Status)
	}
}

// A slow line brings a large body for longer than anybody waits for nothing: the client is to read why it was refused.
func TestWhoeverStillSendsIsNotCutOff(t *testing.T) {
	t.Parallel()
	const parts, partBytes = 6, 1000 // as over a line of 4 kB/s
	connection, answers := refusedBeforeItsBody(t, parts*partBytes)
	for range parts {
		time.Sleep(drainTimeout / 4)
		if _, err := connection.Write(make([]byte, partBytes)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := io.WriteString(connection, "GET /v2/health/live HTTP/1.1\r\nHost: box\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if next, err := http.ReadResponse(answers, nil); err != nil || next.StatusCode != http.StatusOK {
		t.Errorf("its next request gets %v, %v", next, err)
	}
}

// refusedBeforeItsBody asks for an answer that there is none to, and has sent nothing of its body.
func refusedBeforeItsBody(t *testing.T, bodyBytes int) (net.Conn, *bufio.Reader) {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(inferenceSite(t).URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	_ = connection.SetDeadline(time.Now().Add(waiting.Most)) // of the whole test
	if _, err := fmt.Fprintf(connection, "POST /v2/models/centerface/infer HTTP/1.1\r\nHost: box\r\nContent-Length: %d\r\n\r\n", bodyBytes); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(connection)
	refused, err := http.ReadResponse(answers, nil)
	if err == nil {
		_, err = io.Copy(io.Discard, refused.Body)
	}
	if err != nil || refused.StatusCode != http.StatusServiceUnavailable {
		t.Fatalf("%v, %v", refused, err)
	}
	return connection, answers
}
