// SPDX-License-Identifier: Apache-2.0

package web

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"visavis/capture/internal/logtest"
)

// brokenView has a mistake in it.
type brokenView struct{ oneCamera }

func (brokenView) Cameras() []CameraSettings { panic("a mistake of ours") }

func TestAMistakeOfOursIsInTheLogAndWhatStrangersDoIsNot(t *testing.T) {
	lines := make(chan string, 10)
	logtest.Hear(t, slog.NewTextHandler(lineWriter(lines), nil))
	said := newServerLog()
	said.Print("http: TLS handshake error from 192.0.2.1:1: EOF")
	r := serveSettings(t, Settings{Listen: "127.0.0.1:0"}, brokenView{})
	if answer, err := http.Get(r.url + "/api/v1/cameras"); err == nil {
		answer.Body.Close()
		t.Errorf("it is answered with %s", answer.Status)
	}
	if line := <-lines; !strings.Contains(line, "a mistake of ours") || !strings.Contains(line, "level=ERROR") {
		t.Errorf("the log says %s", line)
	}
}

type lineWriter chan<- string

var _ io.Writer = lineWriter(nil)

func (w lineWriter) Write(line []byte) (int, error) {
	w <- string(line)
	return len(line), nil
}
