// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/showing"
	"visavis/capture/internal/waiting"
)

func TestMain(m *testing.M) { waiting.ForGoroutines(m) }

// oneCamera is a View of one online camera and one worker.
type oneCamera struct{}

func (oneCamera) Status() Status {
	return Status{
		Device: "box", Workers: []Worker{{ID: 1, State: "idle"}},
		Cameras: []CameraStatus{{ID: "door", State: CameraOnline, Frames: Frames{Captured: 3, Inferred: 2, InFlight: 1}}},
	}
}
func (oneCamera) Cameras() []CameraSettings {
	return []CameraSettings{{ID: "door", Source: "rtsp://camera/…"}}
}
func (oneCamera) Stopping() bool { return false }

func (oneCamera) Privacy(id string) (string, bool) { return showing.PrivacyPixelate, id == "door" }

// seqText stands for the detections of a frame.
func seqText(seq uint64) string { return fmt.Sprintf(`{"frame":%d}`, seq) }

// running is a served page with its address, and the count of encodes.
type running struct {
	server  *Server
	url     string
	encodes atomic.Int64
}

func serve(t *testing.T) *running {
	t.Helper()
	return serveWith(t, 2*time.Second)
}

// serveWith closes a viewer that cannot take one picture in the given time.
func serveWith(t *testing.T, writeTimeout time.Duration) *running {
	t.Helper()
	return serveSettings(t, Settings{Listen: "127.0.0.1:0", WriteTimeout: writeTimeout}, oneCamera{})
}

// serveHistory serves what a history holds.
func serveHistory(t *testing.T, events Events) *running {
	t.Helper()
	return serveSettings(t, Settings{Listen: "127.0.0.1:0", WriteTimeout: 2 * time.Second, Events: events}, oneCamera{})
}

// serveSettings fills in what each test has in common.
func serveSettings(t *testing.T, settings Settings, view View) *running {
	t.Helper()
	r := &running{}
	settings.Device, settings.Version = "box", "1"
	if settings.Encode == nil {
		settings.Encode = func(*hub.Result, showing.Style) ([]byte, error) {
			r.encodes.Add(1)
			return make([]byte, 20_000), nil
		}
	}
	settings.Detections = func(result *hub.Result) ([]byte, error) { return []byte(seqText(result.Seq)), nil }
	server, err := New(settings, view)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	listener, err := server.Listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	go func() { ended <- server.Serve(ctx, listener) }()
	r.server, r.url = server, "http://"+listener.Addr().String()
	if settings.TLS != nil {
		r.url = "https://" + listener.Addr().String()
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve: %v", err)
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return r
}

// head asks for a path and returns the answer's headers.
func (r *running) head(t *testing.T, path string) http.Header {
	t.Helper()
	answer, err := http.Get(r.url + path)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.Header
}

func (r *running) ask(t *testing.T, method, path string, header http.Header) (int, string) {
	t.Helper()
	request, err := http.NewRequest(method, r.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name := range header {
		request.Header.Set(name, header.Get(name))
	}
	request.Host = header.Get("Host")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// show hands one picture to the server as the hub would.
func (r *running) show(pool *frame.Pool, seq uint64) bool { return r.showLate(pool, seq, 0) }

// showLate shows one that was taken some time ago.
func (r *running) showLate(pool *frame.Pool, seq uint64, ago time.Duration) bool {
	picture, ok := pool.Get()
	if !ok {
		return false
	}
	picture.CapturedNs = frame.MonotonicNs() - ago.Nanoseconds()
	r.server.Take(&hub.Result{Camera: "door", Seq: seq, CapturedNs: picture.CapturedNs, CapturedAt: time.Now(), Picture: picture})
	picture.Release()
	return true
}

func TestRoutesAnswerAsThePageOfContractsSays(t *testing.T) {
	r := serve(t)
	for _, c := range []struct {
		method, path, words string
		code                int
	}{
		{"GET", "/", "<!doctype html>", 200},
		{"GET", "/healthz", "", 200},
		{"GET", "/metrics", "visavis_frames_captured_total", 200},
		{"GET", "/api/v1/status", `"captured":3`, 200},
		{"GET", "/api/v1/cameras/door", `"door"`, 200},
		{"GET", "/api/v1/cameras/nobody", "nobody", 404},
		{"GET", "/api/v1/cameras/door/stream.mjpeg?fps=no", "fps", 400},
		{"GET", "/api/v1/cameras/door/snapshot.jpg?width=&boxes=", "", 503},
		{"GET", "/api/v1/cameras/door/live", "ws://", 426},
		{"GET", "/api/v1/cameras/door/live?ahead=0", "ahead", 400},
		{"GET", "/api/v1/cameras/door/snapshot.jpg", "", 503},
		{"GET", "/no/such/page", "", 404},
		{"POST", "/api/v1/status", "", 405},
	} {
		code, body := r.ask(t, c.method, c.path, http.Header{})
		if code != c.code || !strings.Contains(strings.ToLower(body), strings.ToLower(c.words)) {
			t.Errorf("%s %s: %d %.200q, want %d with %q", c.method, c.path, code, body, c.code, c.words)
		}
	}
}

func TestForeignHostsAndForeignPagesAreRefused(t *testing.T) {
	r := serve(t)
	if code, _ := r.ask(t, "GET", "/api/v1/status", http.Header{"Host": {"evil.example"}}); code != http.StatusMisdirectedRequest {
		t.Errorf("a foreign Host gets %d, want 421", code)
	}
	if code, _ := r.ask(t, "GET", "/api/v1/status", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}}); code != http.StatusForbidden {
		t.Errorf("a foreign page gets %d, want 403", code)
	}
}

func TestBindingBeyondLoopbackIsRefused(t *testing.T) {
	for _, listen := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:80"} {
		if _, err := New(Settings{Listen: listen, Device: "box"}, oneCamera{}); err == nil {
			t.Errorf("%s was accepted without credentials", listen)
		}
	}
}

func TestAnAddressWhereNobodyCanListenIsNamedWithTheSetting(t *testing.T) {
	for address, words := range map[string]string{"192.0.2.1:0": "is not an address of this machine; change web.listen", "127.0.0.1:99999": "web.listen"} {
		_, err := (&Server{settings: Settings{Listen: address}}).Listen(context.Background())
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want %q in it", address, err, words)
		}
	}
	if said := notListening("127.0.0.1:80", syscall.EACCES).Error(); !strings.Contains(said, "change web.listen to a port of 1024 or above") {
		t.Error(said)
	}
}

func TestASnapshotIsTheNewestPictureAndItsTagSparesTheSecondTransfer(t *testing.T) {
	r := serve(t)
	pool := frame.NewPool(4)
	if !r.show(pool, 1) {
		t.Fatal("no picture is free")
	}
	answer, err := http.Get(r.url + "/api/v1/cameras/door/snapshot.jpg")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	tag := answer.Header.Get("ETag")
	if answer.StatusCode != 200 || tag == "" || answer.Header.Get("Content-Type") != "image/jpeg" {
		t.Fatalf("snapshot: %d, ETag %q, %s", answer.StatusCode, tag, answer.Header.Get("Content-Type"))
	}
	if code, _ := r.ask(t, "GET", "/api/v1/cameras/door/snapshot.jpg", http.Header{"If-None-Match": {tag}}); code != http.StatusNotModified {
		t.Errorf("the same picture again: %d, want 304", code)
	}
	r.show(pool, 2)
	if code, _ := r.ask(t, "GET", "/api/v1/cameras/door/snapshot.jpg", http.Header{"If-None-Match": {tag}}); code != 200 {
		t.Errorf("a newer picture: %d, want 200", code)
	}
}

// atRate is a camera that is asked for so many pictures a second; 0: for all.
type atRate struct {
	oneCamera
	fps float64
}

func (a atRate) Cameras() []CameraSettings {
	return []CameraSettings{{ID: "door", Source: "rtsp://camera/…", DetectFPS: a.fps}}
}

func TestASnapshotMayBeAsOldAsThePicturesThatACameraIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		fps  float64
		ago  time.Duration
		code int
	}{{0, 15 * time.Second, 503}, {30, 15 * time.Second, 503}, {0.05, 15 * time.Second, 200}, {0.05, 41 * time.Second, 503}, {1e-300, time.Minute, 200}} {
		r := serveSettings(t, Settings{Listen: "127.0.0.1:0"}, atRate{fps: c.fps})
		if !r.showLate(frame.NewPool(1), 1, c.ago) {
			t.Fatal("no picture is free")
		}
		if code, said := r.ask(t, "GET", "/api/v1/cameras/door/snapshot.jpg", nil); code != c.code {
			t.Errorf("%g a second, %s ago: %d, want %d: %.200s", c.fps, c.ago, code, c.code, said)
		}
	}
}

func TestAPictureIsOldOnceTheNextOneShouldHaveCome(t *testing.T) {
	for _, c := range []struct {
		fps    float64
		ago    time.Duration
		oldMs  float64
		joined bool // whoever comes then gets it at once
	}{{0, time.Second, 2000, true}, {0, 5 * time.Second, 2000, false}, {0.1, 5 * time.Second, 20_000, true}, {0.1, 25 * time.Second, 20_000, false}} {
		r := serveSettings(t, Settings{Listen: "127.0.0.1:0"}, atRate{fps: c.fps})
		if !r.showLate(frame.NewPool(1), 1, c.ago) {
			t.Fatal("no picture is free")
		}
		var told Status
		if _, said := r.ask(t, "GET", "/api/v1/status", nil); json.Unmarshal([]byte(said), &told) != nil || told.Cameras[0].PictureOld != c.oldMs {
			t.Errorf("%g a second: %.300s, want %g", c.fps, said, c.oldMs)
		}
		studio, v := r.look(t)
		studio.mu.Lock()
		joined := v.seen == 0 || v.next != nil
		studio.mu.Unlock()
		if joined != c.joined {
			t.Errorf("%g a second, %s ago: at once %t, want %t", c.fps, c.ago, joined, c.joined)
		}
	}
}

// look joins a viewer of the camera, until the test ends.
func (r *running) look(t *testing.T) (*studio, *viewer) {
	t.Helper()
	studio, err := r.server.studioFor("door")
	if err != nil {
		t.Fatal(err)
	}
	v := &viewer{ready: make(chan struct{}, 1)}
	if err := studio.join(v); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { studio.leave(v) })
	return studio, v
}

// watch reads a stream and counts its pictures until the stream ends.
func watch(t *testing.T, url string, seen *atomic.Int64, done *sync.WaitGroup) {
	done.Add(1)
	go func() {
		defer done.Done()
		answer, err := http.Get(url)
		if err != nil {
			t.Error(err)
			return
		}
		defer answer.Body.Close()
		lines := bufio.NewReaderSize(answer.Body, 64<<10)
		for {
			line, err := lines.ReadString('\n')
			if strings.HasPrefix(line, "Content-Type: image/jpeg") {
				seen.Add(1)
			}
			if err != nil {
				return
			}
		}
	}()
}

func TestFiftyViewersShareOneEncodeAndEveryPictureComesBack(t *testing.T) {
	const viewers, pictures = 50, 40
	r := serve(t)
	pool := frame.NewPool(8)
	seen := make([]atomic.Int64, viewers)
	var done sync.WaitGroup
	for i := range seen {
		watch(t, r.url+"/api/v1/cameras/door/stream.mjpeg", &seen[i], &done)
	}
	least := func() int64 {
		low := seen[0].Load()
		for i := range seen {
			low = min(low, seen[i].Load())
		}
		return low
	}
	waiting.Until(t, "all watch", func() bool { return r.figures().Now == viewers })
	for n := uint64(1); n <= pictures; n++ {
		if !r.show(pool, n) {
			t.Fatalf("picture %d: all buffers are held", n)
		}
		waiting.Until(t, "all have it", func() bool { return least() == int64(n) })
	}
	if encodes := r.encodes.Load(); encodes != pictures {
		t.Errorf("%d encodes for %d pictures shown to %d viewers: they do not share", encodes, pictures, viewers)
	}
	r.server.CameraRemoved("door")
	done.Wait() // the streams end with their camera
	for i := range 8 {
		if _, ok := pool.Get(); !ok {
			t.Fatalf("%d of 8 pictures came back", i)
		}
	}
}

func TestOnlyOnePageMayAskForTheBrowsersCamera(t *testing.T) {
	r := serve(t)
	for path, want := range map[string]string{"/": "camera=()", "/try": "camera=(self)", "/login": "camera=()"} {
		said := r.head(t, path)
		if got := said.Get("Permissions-Policy"); got != want+", microphone=(), geolocation=()" {
			t.Errorf("%s may %q, want %s", path, got, want)
		}
		if opener, frame := said.Get("Cross-Origin-Opener-Policy"), said.Get("X-Frame-Options"); opener != "same-origin" || frame != "DENY" {
			t.Errorf("%s may be reached by its opener (%q) or be framed (%q)", path, opener, frame)
		}
	}
}

func TestEveryAnswerIsShielded(t *testing.T) {
	r := serve(t)
	host := strings.TrimPrefix(r.url, "http://")
	ofPages := pagePolicy + " ws://" + host + " wss://" + host
	for path, policy := range map[string]string{
		"/": ofPages, "/login": ofPages, "/app.css": strictPolicy, "/healthz": strictPolicy, "/api/v1/status": strictPolicy, "/nowhere": strictPolicy,
	} {
		said := r.head(t, path)
		for name, want := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := said.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%s of %s is %q, want %q", name, path, got, want)
			}
		}
	}
}

func TestAPolicyNamesTheSocketsOfPlainHostsAlone(t *testing.T) {
	for host, want := range map[string]string{
		"box.local":         " ws://box.local wss://box.local",
		"192.0.2.1:8080":    " ws://192.0.2.1:8080 wss://192.0.2.1:8080",
		"[::1]:8080":        "",
		"box:80;script-src": "",
		"box:80,*":          "",
	} {
		said, asked := http.Header{}, request("/")
		asked.Host = host
		secureDocument(said, asked, "camera=()")
		if got := said.Get("Content-Security-Policy"); got != pagePolicy+want {
			t.Errorf("of %s the policy is %q, want %q at its end", host, got, want)
		}
	}
}

func TestNoAnswerWritesIntoTheHeadersOfAnother(t *testing.T) {
	first, second := http.Header{}, http.Header{}
	secure(first)
	first.Add("X-Content-Type-Options", "also")
	first.Set("Referrer-Policy", "origin")
	secure(second)
	if sniff, referrer := second.Values("X-Content-Type-Options"), second.Get("Referrer-Policy"); len(sniff) != 1 || referrer != "no-referrer" {
		t.Errorf("the next answer says %q and %q", sniff, referrer)
	}
}

func TestThePageIsSmall(t *testing.T) {
	const mostBytes = 100_000
	assets, err := loadAssets()
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, file := range assets {
		total += len(file.body)
	}
	if total > mostBytes {
		t.Errorf("the page has %d bytes, want at most %d", total, mostBytes)
	}
}
