// SPDX-License-Identifier: Apache-2.0

package web

import (
	"io"
	"net/http"
	"os"
	"runtime"
	"testing"

	"github.com/coder/websocket"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/waiting"
)

// descriptors counts the open files of this process.
func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// visit asks for the status, looks at one picture of a stream and of a WebSocket, and goes; each other time without a word.
func (r *running) visit(t *testing.T, politely bool, show func()) {
	t.Helper()
	r.ask(t, http.MethodGet, "/api/v1/status", http.Header{})
	answer, err := http.Get(r.url + "/api/v1/cameras/door/stream.mjpeg")
	if err != nil {
		t.Fatal(err)
	}
	connection := r.dial(t, "?ahead=2")
	waiting.Until(t, "both watch", func() bool { return r.figures().Now == 2 })
	show()
	receive(t, connection)
	if _, err := io.ReadFull(answer.Body, make([]byte, 10_000)); err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if politely {
		_ = connection.Close(websocket.StatusNormalClosure, "") // the answer to it may be lost
	} else {
		_ = connection.CloseNow() // the same
	}
	waiting.Until(t, "both are forgotten", func() bool { return r.figures().Now == 0 })
}

func TestViewersThatComeAndGoLeaveNothingBehind(t *testing.T) {
	const visits = 200
	r := serve(t)
	pool := frame.NewPool(4)
	seq := uint64(0)
	visit := func() {
		r.visit(t, seq%2 == 0, func() { seq++; r.show(pool, seq) })
	}
	visit() // what is made once stays
	http.DefaultClient.CloseIdleConnections()
	goroutines, files := runtime.NumGoroutine(), descriptors(t)
	for range visits {
		visit()
	}
	waiting.Until(t, "goroutines and descriptors are as many as before", func() bool {
		http.DefaultClient.CloseIdleConnections()
		return runtime.NumGoroutine() <= goroutines && descriptors(t) <= files
	})
}
