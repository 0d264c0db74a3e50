// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"visavis/capture/internal/waiting"
)

// served is a load on a handler that goes on until the test ends it.
func served(t *testing.T, handler http.HandlerFunc) settings {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return settings{url: server.URL, connections: 3, span: time.Hour, grace: waiting.Most}
}

func TestEveryRequestOfAClosedLoopIsCountedOnce(t *testing.T) {
	const enough = 300
	var asked atomic.Int64
	var impatient atomic.Value // the one client that is told to wait
	ctx, end := context.WithCancel(waiting.Context(t))
	s := served(t, func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); string(body) != "picture" || r.Header.Get("Content-Type") != "image/jpeg" {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		if asked.Add(1) == enough {
			end()
		}
		if impatient.CompareAndSwap(nil, r.RemoteAddr) || impatient.Load() == r.RemoteAddr {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	})
	s.body, s.contentType = []byte("picture"), "image/jpeg"
	found := closedLoop(ctx, s)
	good, refused := found.Statuses[200], found.Statuses[429]
	if good+refused != found.Sent || int64(found.Sent) != asked.Load() || found.Sent < enough || found.Waiting != 0 || good != found.Within {
		t.Fatalf("%+v of %d asked", found, asked.Load())
	}
	if refused != 1 || found.Told != 1 || found.Refused.Count != 1 {
		t.Fatalf("a client that is told to wait for an hour must not ask again: %+v", found)
	}
}

func TestWhoGetsNoAnswerIsKnownToHaveWaited(t *testing.T) {
	var asked atomic.Int64
	ctx, end := context.WithCancel(waiting.Context(t))
	over := make(chan struct{})
	s := served(t, func(_ http.ResponseWriter, r *http.Request) {
		if asked.Add(1) == 3 {
			end()
		}
		select {
		case <-over:
		case <-r.Context().Done():
		}
	})
	defer close(over)
	s.grace = 50 * time.Millisecond
	found := closedLoop(ctx, s)
	if found.Sent != 3 || found.Waiting != 3 || found.Within != 0 || !found.Answered.P50More || found.Answered.P50 < ms(s.grace) {
		t.Fatalf("%+v", found)
	}
}

func TestAnOpenLoopAsksAtItsRateWhateverTheAnswersTake(t *testing.T) {
	s := served(t, func(http.ResponseWriter, *http.Request) { time.Sleep(300 * time.Millisecond) })
	s.perSecond, s.span = 100, 200*time.Millisecond
	found := openLoop(context.Background(), s)
	if found.Sent != 20 || found.Statuses[200] != 20 || found.Within != 0 || found.Timely != 0 || found.Last < 0.3 || found.Answered.P50 < 300 {
		t.Fatalf("%+v", found)
	}
}

func TestProbesAreAskedBesideTheLoad(t *testing.T) {
	var probed atomic.Int64
	ctx, end := context.WithCancel(waiting.Context(t))
	s := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/broken" {
			return
		}
		if probed.Add(1) == 3 {
			end()
		}
		w.WriteHeader(http.StatusInternalServerError)
	})
	s.probe, s.probePause = s.url+"/broken", time.Millisecond
	found := closedLoop(ctx, s)
	if found.Probes == nil || found.Failed != 3 || !found.Probes.P50More {
		t.Fatalf("%+v", found)
	}
}

func TestAServerThatStoodStillDidSoForAllProbesThatWereDue(t *testing.T) {
	probes := slices.Repeat([]outcome{{status: 200, took: time.Millisecond}}, 800)
	probes[400].took = time.Second
	s := settings{probePause: 5 * time.Millisecond}
	found := s.summary(time.Now(), nil, probes).Probes
	if found.Count != 799+200 || found.P50 != 1 || found.P99 < 900 {
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
	found, err := watchFor(t.Context(), s, func(viewers []*viewer) {
		before, _ := counts(viewers)
		waiting.Until(t, "each viewer sees a picture", func() bool {
			now, _ := counts(viewers)
			return !slices.ContainsFunc([]int{0, 1, 2}, func(n int) bool { return now[n] == before[n] })
		})
	})
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
