// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bufio"
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
	connection, err := net.Dial("tcp", strings.TrimPrefix(inferenceSite(t).URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(waiting.Most)) // of the whole test
	if _, err := io.WriteString(connection, "POST /v2/models/centerface/infer HTTP/1.1\r\nHost: box\r\nContent-Length: 100\r\n\r\n{"); err != nil {
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
	time.Sleep(drainTimeout + drainTimeout/4) // what comes earlier is read as what it is
	_, _ = io.WriteString(connection, "GET /v2/health/live HTTP/1.1\r\nHost: box\r\n\r\n")
	if smuggled, err := http.ReadResponse(answers, nil); err == nil {
		t.Errorf("it is answered with %s", smuggled.Status)
	}
}
