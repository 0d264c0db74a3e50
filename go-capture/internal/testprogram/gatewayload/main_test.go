// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func served(t *testing.T, handler http.HandlerFunc) settings {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return settings{url: server.URL, connections: 3, span: 200 * time.Millisecond, grace: 10 * time.Second, warmUp: 50 * time.Millisecond}
}

func TestEveryRequestOfAClosedLoopIsCountedOnce(t *testing.T) {
	var asked atomic.Int64
	s := served(t, func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); string(body) != "picture" || r.Header.Get("Content-Type") != "image/jpeg" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		if asked.Add(1)%3 == 0 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	s.body, s.contentType = []byte("picture"), "image/jpeg"
	found := closedLoop(context.Background(), s)
	good, refused := found.Statuses[200], found.Statuses[429]
	if good+refused != found.Sent || int64(found.Sent) != asked.Load() || found.Waiting != 0 || good < found.Within {
		t.Fatalf("%+v of %d asked", found, asked.Load())
	}
	if refused == 0 || refused > s.connections || found.Told != refused || found.Refused.Count != refused {
		t.Fatalf("a client that is told to wait for a second must not ask again in a fifth of one: %+v", found)
	}
}

func TestWhoGetsNoAnswerIsKnownToHaveWaited(t *testing.T) {
	over := make(chan struct{})
	s := served(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-over:
		case <-r.Context().Done():
		}
	})
	defer close(over)
	s.grace = 50 * time.Millisecond
	found := closedLoop(context.Background(), s)
	if found.Waiting != 3 || found.Within != 0 || !found.Answered.P50More || found.Answered.P50 < 200 {
		t.Fatalf("%+v", found)
	}
}

func TestAnOpenLoopAsksAtItsRateWhateverTheAnswersTake(t *testing.T) {
	s := served(t, func(http.ResponseWriter, *http.Request) { time.Sleep(300 * time.Millisecond) })
	s.perSecond = 100
	found := openLoop(context.Background(), s)
	if found.Sent != 20 || found.Statuses[200] != 20 || found.Within != 0 || found.Timely != 0 || found.Last < 0.3 || found.Answered.P50 < 300 {
		t.Fatalf("%+v", found)
	}
}

func TestProbesAreAskedBesideTheLoad(t *testing.T) {
	s := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	s.probe, s.probePause = s.url+"/broken", time.Millisecond
	found := closedLoop(context.Background(), s)
	if found.Probes == nil || found.Probes.Count == 0 || found.Failed != found.Probes.Count {
		t.Fatalf("%+v", found)
	}
}

func TestPicturesAreCountedWhereverTheirBoundariesLie(t *testing.T) {
	stream := strings.Repeat("--frame\r\nContent-Type: image/jpeg\r\n\r\n--fra--frame\r\r\n", 1000)
	for _, step := range []int{1, 3, 7, 64, 1 << 20} {
		v := &viewer{boundary: []byte("--frame\r\n")}
		if err := v.count(stepped{strings.NewReader(stream), step}); err != io.EOF {
			t.Fatal(err)
		}
		if v.pictures.Load() != 1000 || v.bytes.Load() != int64(len(stream)) {
			t.Fatalf("%d pictures in %d bytes, %d at a time", v.pictures.Load(), v.bytes.Load(), step)
		}
	}
}

// stepped gives so many bytes at most a time.
type stepped struct {
	from io.Reader
	step int
}

func (s stepped) Read(into []byte) (int, error) { return s.from.Read(into[:min(len(into), s.step)]) }

func TestViewersSeeWhatIsSent(t *testing.T) {
	s := served(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "multipart/x-mixed-replace; boundary=frame")
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "--frame\r\n\r\npicture\r\n")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(5 * time.Millisecond)
		}
	})
	s.span = time.Second // long enough for a picture on any machine
	found, err := watch(context.Background(), s)
	if err != nil || found.Viewers != 3 || found.Least <= 0 || found.Most < found.Least || found.Broken != 0 {
		t.Fatalf("%+v, %v", found, err)
	}
}

func TestOnlyLoopbackIsLoaded(t *testing.T) {
	for _, address := range []string{"http://192.0.2.1/", "http://example.org/", "http://[2001:db8::1]/"} {
		if _, err := read([]string{"-url", address}); err == nil {
			t.Fatalf("%s is not refused", address)
		}
		if _, err := read([]string{"-url", "http://127.0.0.1/", "-probe", address}); err == nil {
			t.Fatalf("%s as a probe is not refused", address)
		}
	}
	if _, err := read([]string{"-url", "http://127.0.0.1:1/", "-probe", "http://[::1]:1/"}); err != nil {
		t.Fatal(err)
	}
}
