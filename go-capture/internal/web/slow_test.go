// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/logtest"
	"visavis/capture/internal/showing"
	"visavis/capture/internal/waiting"
)

// deaf opens a stream and never reads from it.
func (r *running) deaf(t *testing.T) {
	t.Helper()
	address := strings.TrimPrefix(r.url, "http://")
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	if _, err := fmt.Fprintf(connection, "GET /api/v1/cameras/door/stream.mjpeg HTTP/1.1\r\nHost: %s\r\n\r\n", address); err != nil {
		t.Fatal(err)
	}
}

// figures of the one camera's viewers.
func (r *running) figures() ViewerFigures {
	figures, _ := r.server.studioOf("door").now()
	return figures
}

func heapBytes() uint64 {
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	return memory.HeapAlloc
}

func TestAViewerThatReadsNothingLosesFramesAndNobodyElseDoes(t *testing.T) {
	const pictures, heapMost = 600, 4 << 20
	r := serveWith(t, time.Minute) // so that the deaf one stays
	pool := frame.NewPool(4)
	var seen atomic.Int64
	var done sync.WaitGroup
	watch(t, r.url+"/api/v1/cameras/door/stream.mjpeg", &seen, &done)
	r.deaf(t)
	waiting.Until(t, "both watch", func() bool { return r.figures().Now == 2 })
	var early uint64
	for n := uint64(1); n <= pictures; n++ {
		if !r.show(pool, n) {
			t.Fatalf("picture %d: all buffers are held", n)
		}
		waiting.Until(t, "the one that reads has it", func() bool { return seen.Load() == int64(n) })
		if n == pictures/2 {
			early = heapBytes()
		}
	}
	waiting.Until(t, "all are counted but the one that is stuck and the one that waits", func() bool {
		figures := r.figures()
		return figures.Sent+figures.Dropped == 2*pictures-2
	})
	if figures := r.figures(); figures.Dropped == 0 {
		t.Errorf("%d sent and none dropped of %d pictures for two viewers", figures.Sent, pictures)
	}
	if late := heapBytes(); late > early+heapMost {
		t.Errorf("the heap has %d bytes after %d pictures and had %d after half of them", late, pictures, early)
	}
	r.server.CameraRemoved("door")
	done.Wait()
}

func TestAViewerThatReadsNothingIsClosedInTheEnd(t *testing.T) {
	r := serve(t)
	pool := frame.NewPool(4)
	r.deaf(t)
	waiting.Until(t, "it watches", func() bool { return r.figures().Now == 1 })
	seq := uint64(0)
	waiting.Until(t, "it is closed when it cannot take one picture within the write timeout", func() bool {
		seq++
		if !r.show(pool, seq) {
			t.Fatalf("picture %d: all buffers are held", seq)
		}
		return r.figures().Now == 0
	})
	if code, _ := r.ask(t, "GET", "/healthz", http.Header{}); code != http.StatusOK {
		t.Errorf("/healthz answers %d", code)
	}
}

// says opens a connection, sends a text, and gives what comes back until the server closes it.
func (r *running) says(t *testing.T, text string) string {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := errors.Join(connection.SetDeadline(time.Now().Add(waiting.Most)), writeAll(connection, text)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(connection)
	if err != nil {
		t.Fatalf("it is open still: %v", err)
	}
	return string(answer)
}

func writeAll(to io.Writer, text string) error {
	_, err := io.WriteString(to, text)
	return err
}

func TestAClientWhoseBodyDoesNotComeIsAnsweredAndClosed(t *testing.T) {
	r := serveSettings(t, Settings{Listen: "127.0.0.1:0", BodyTimeout: 50 * time.Millisecond}, oneCamera{})
	for request, code := range map[string]string{"GET /healthz": "200", "GET /nothing": "404", "POST /healthz": "405"} {
		for _, body := range []string{"Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n"} {
			answer := r.says(t, request+" HTTP/1.1\r\nHost: localhost\r\n"+body)
			if !strings.HasPrefix(answer, "HTTP/1.1 "+code) {
				t.Errorf("%s with %q: %q", request, body, answer)
			}
		}
	}
}

func TestAClientThatDoesNotTakeItsAnswerIsClosed(t *testing.T) {
	ended := make(chan error, 1)
	large := Mount{Pattern: "/large", Least: auth.Public, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write(make([]byte, 64<<20)) // more than all the kernel's buffers hold
		ended <- err
	})}
	r := serveSettings(t, Settings{Listen: "127.0.0.1:0", AnswerTimeout: 50 * time.Millisecond, Guests: Guests{Mounts: []Mount{large}}}, oneCamera{})
	connection, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := writeAll(connection, "GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	waiting.Until(t, "the answer is given up", func() bool { return len(ended) > 0 })
	if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the answer ended with %v", err)
	}
}

// complaints counts the errors in the log.
type complaints struct {
	slog.Handler
	count atomic.Int64
}

func (c *complaints) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		c.count.Add(1)
	}
	return c.Handler.Handle(ctx, r)
}

func TestACameraThatGoesWhileItIsShownIsNoError(t *testing.T) {
	heard := &complaints{Handler: slog.NewTextHandler(io.Discard, nil)}
	logtest.Hear(t, heard)
	var r *running
	goes := func(*hub.Result, showing.Style) ([]byte, error) { // while the first of two looks is encoded
		r.server.CameraRemoved("door")
		return make([]byte, 100), nil
	}
	r = serveSettings(t, Settings{Listen: "127.0.0.1:0", Encode: goes}, oneCamera{})
	var seen atomic.Int64
	var done sync.WaitGroup
	for _, look := range []string{"?width=100", "?width=200"} {
		watch(t, r.url+"/api/v1/cameras/door/stream.mjpeg"+look, &seen, &done)
	}
	waiting.Until(t, "both watch", func() bool { return r.figures().Now == 2 })
	r.show(frame.NewPool(1), 1)
	done.Wait()
	r.server.closeStudios() // waits for the encoder
	if heard.count.Load() > 0 {
		t.Error("the log has an error")
	}
}

// leaving is a View whose camera is removed right after somebody has first asked for it.
type leaving struct {
	oneCamera
	once   sync.Once
	remove func()
}

func (l *leaving) Cameras() []CameraSettings { return nil }

func (l *leaving) Privacy(string) (privacy string, known bool) {
	l.once.Do(func() {
		l.remove()
		known = true
	})
	return showing.PrivacyPixelate, known
}

func TestACameraThatGoesWhileItsStudioIsMadeLeavesNone(t *testing.T) {
	view := &leaving{}
	r := serveSettings(t, Settings{Listen: "127.0.0.1:0"}, view)
	view.remove = func() { r.server.CameraRemoved("door") }
	pool := frame.NewPool(1)
	r.show(pool, 1)
	if studio, _ := r.server.studioNow("door"); studio != nil {
		t.Error("a camera that is gone has a studio")
	}
	if _, ok := pool.Get(); !ok {
		t.Fatal("its picture is held")
	}
	for _, path := range []string{"snapshot.jpg", "stream.mjpeg", "live"} {
		if answer := get(t, r.url+"/api/v1/cameras/door/"+path); answer.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s, want 404", path, answer.Status)
		}
	}
}

func TestADeviceThatStopsDoesNotSayThatACameraIsNotThere(t *testing.T) {
	r := serve(t)
	r.server.closeStudios() // as Run does while answers that are under way finish
	for path, code := range map[string]int{"door": http.StatusServiceUnavailable, "attic": http.StatusNotFound} {
		for _, view := range []string{"/snapshot.jpg", "/stream.mjpeg", "/live"} {
			answer := get(t, r.url+"/api/v1/cameras/"+path+view)
			if answer.StatusCode != code || (code == http.StatusServiceUnavailable) != (answer.Header.Get("Retry-After") != "") {
				t.Errorf("%s%s: %s, Retry-After %q", path, view, answer.Status, answer.Header.Get("Retry-After"))
			}
		}
	}
}

// hiding is a View whose camera shows faces until it is ordered to hide them.
type hiding struct {
	oneCamera
	ordered atomic.Bool
}

func (h *hiding) Privacy(string) (string, bool) {
	if h.ordered.Load() {
		return showing.PrivacyPixelate, true
	}
	return showing.PrivacyNone, true
}

func TestAPictureThatWaitsForASlowViewerIsNotSentOnceFacesAreHidden(t *testing.T) {
	view := &hiding{}
	r := serveSettings(t, Settings{Listen: "127.0.0.1:0"}, view)
	pool := frame.NewPool(2)
	studio, v := r.look(t)
	for seq := uint64(1); seq <= 2; seq++ {
		r.show(pool, seq)
		<-v.ready
		view.ordered.Store(seq == 2)
		if sent := studio.collect(v) != nil; sent != (seq == 1) {
			t.Errorf("picture %d: sent %t", seq, sent)
		}
	}
}
