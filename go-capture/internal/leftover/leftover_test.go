// SPDX-License-Identifier: Apache-2.0

package leftover

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/problem"
	"visavis/capture/internal/waiting"
)

const (
	most   = 10 * time.Second
	nextOf = "GET /next HTTP/1.1\r\nHost: box\r\n\r\n"
)

// Whoever was refused may still send its body, later than anybody waits for it: that must not be read as another request, which a proxy
// in between knows nothing of.
func TestARestOfABodyIsNoRequest(t *testing.T) {
	t.Parallel()
	connection, answers := refusedBeforeItsBody(t, "", 100)
	_, _ = io.WriteString(connection, "{")
	time.Sleep(pauseMost + pauseMost/4) // what comes earlier is read as what it is
	_, _ = io.WriteString(connection, nextOf)
	if smuggled, err := http.ReadResponse(answers, nil); err == nil {
		t.Errorf("it is answered with %s", smuggled.Status)
	}
}

// A slow line brings a large body for longer than anybody waits for nothing: the client is to read why it was refused.
func TestWhoeverStillSendsIsNotCutOff(t *testing.T) {
	t.Parallel()
	const parts, partBytes = 30, 200 // as over a line of 4 kB/s
	connection, answers := refusedBeforeItsBody(t, "", parts*partBytes)
	for range parts {
		time.Sleep(pauseMost / 20)
		if _, err := connection.Write(make([]byte, partBytes)); err != nil {
			t.Fatal(err)
		}
	}
	expectNext(t, connection, answers)
}

// net/http itself takes a quarter of a megabyte and then breaks the connection, with what the client has not read yet.
func TestALargeBodyIsTakenBeforeAnybodyReads(t *testing.T) {
	t.Parallel()
	const bytes = 15 << 20
	connection := dialed(t)
	upgrade := "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n" // as Java's client asks
	head := fmt.Sprintf("POST /refused HTTP/1.1\r\nHost: box\r\n%sContent-Length: %d\r\n\r\n", upgrade, bytes)
	if _, err := io.WriteString(connection, head+strings.Repeat("x", bytes)); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(connection)
	expectRefused(t, answers)
	expectNext(t, connection, answers)
}

// curl asks first, by default, when a body is large: it closes when it is refused, and sends all when it was let send.
func TestWhoeverAskedFirstMaySendOrNot(t *testing.T) {
	t.Parallel()
	_, answers := refusedBeforeItsBody(t, "Expect: 100-continue\r\n", 1000)
	if more, err := answers.ReadByte(); err != io.EOF {
		t.Errorf("after the answer comes %q, %v", more, err)
	}
	const bytes = 1 << 20
	connection := dialed(t)
	if _, err := fmt.Fprintf(connection, "POST /begun HTTP/1.1\r\nHost: box\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", bytes); err != nil {
		t.Fatal(err)
	}
	answers = bufio.NewReader(connection)
	asked, err := http.ReadResponse(answers, nil)
	if err != nil || asked.StatusCode != http.StatusContinue {
		t.Fatalf("%v, %v", asked, err)
	}
	if _, err := io.WriteString(connection, strings.Repeat("x", bytes)); err != nil {
		t.Fatal(err)
	}
	expectRefused(t, answers)
}

func TestABodyThatWasTakenIsTakenOnce(t *testing.T) {
	t.Parallel()
	connection := dialed(t)
	if _, err := io.WriteString(connection, "POST /whole HTTP/1.1\r\nHost: box\r\nContent-Length: 5\r\n\r\nhello"); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(connection)
	whole, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(whole.Body); string(said) != "hello" || err != nil || whole.ContentLength != 5 {
		t.Errorf("%q, %v, %d bytes", said, err, whole.ContentLength)
	}
	expectNext(t, connection, answers)
}

func dialed(t *testing.T) net.Conn {
	t.Helper()
	mux := http.NewServeMux()
	refuse := problem.Problem{Status: http.StatusForbidden, Title: "Not you"}.Write
	mux.HandleFunc("/refused", refuse)
	mux.HandleFunc("/begun", func(w http.ResponseWriter, r *http.Request) {
		_, _ = r.Body.Read(make([]byte, 1))
		refuse(w, r)
	})
	mux.HandleFunc("/whole", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	mux.HandleFunc("/next", func(http.ResponseWriter, *http.Request) {})
	server := httptest.NewServer(Taken(mux, most))
	t.Cleanup(server.Close)
	connection, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	_ = connection.SetDeadline(time.Now().Add(waiting.Most)) // of the whole test
	return connection
}

// refusedBeforeItsBody has its answer, and has sent nothing of its body.
func refusedBeforeItsBody(t *testing.T, header string, bodyBytes int) (net.Conn, *bufio.Reader) {
	t.Helper()
	connection := dialed(t)
	if _, err := fmt.Fprintf(connection, "POST /refused HTTP/1.1\r\nHost: box\r\n%sContent-Length: %d\r\n\r\n", header, bodyBytes); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(connection)
	expectRefused(t, answers)
	return connection, answers
}

func expectRefused(t *testing.T, answers *bufio.Reader) {
	t.Helper()
	refused, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, refused.Body); err != nil || refused.StatusCode != http.StatusForbidden {
		t.Fatalf("%s, %v", refused.Status, err)
	}
}

// expectNext sends another request by the connection.
func expectNext(t *testing.T, connection io.Writer, answers *bufio.Reader) {
	t.Helper()
	if _, err := io.WriteString(connection, nextOf); err != nil {
		t.Fatal(err)
	}
	if next, err := http.ReadResponse(answers, nil); err != nil || next.StatusCode != http.StatusOK {
		t.Errorf("its next request gets %v, %v", next, err)
	}
}
