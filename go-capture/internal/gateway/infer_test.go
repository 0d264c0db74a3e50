// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/openinference"
)

const pictureMost = 1 << 16

// inferenceSite is a device without workers that takes small pictures.
func inferenceSite(t *testing.T) *httptest.Server {
	t.Helper()
	dispatcher := dispatch.New(dispatch.Options{Outcome: func(dispatch.Outcome) {}})
	g, err := New(Settings{Model: "centerface", Version: "1.2.3", InputWidth: 32, InputHeight: 32, Workers: 1, Credit: 1, Queue: 1,
		QueuePerClient: 1, Streams: 1, Limits: Limits{Bytes: pictureMost, DecodeBytes: 48 << 20}}, dispatcher)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	for _, one := range g.InferenceRoutes() {
		mux.Handle(one.Method+" "+one.Pattern, one.Handler)
	}
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		sent, err := g.readInference(w, r, 0)
		if err != nil {
			refusalOf(err).problem().Write(w, r)
			return
		}
		defer sent.release()
		_, _ = w.Write(sent.bytes) // the test looks at what came
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() { server.Close(); g.Close() })
	return server
}

// asked sends one request.
func asked(t *testing.T, method, url, encoding string, body io.Reader) (code int, answer []byte) {
	t.Helper()
	got, answer := askedFor(t, method, url, encoding, body)
	if (got.Header.Get("Retry-After") != "") != (got.StatusCode == http.StatusServiceUnavailable) {
		t.Errorf("%d with Retry-After %q", got.StatusCode, got.Header.Get("Retry-After"))
	}
	return got.StatusCode, answer
}

func askedFor(t *testing.T, method, url, encoding string, body io.Reader) (got *http.Response, answer []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Encoding", encoding)
	got, err = http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	if answer, err = io.ReadAll(got.Body); err != nil {
		t.Fatal(err)
	}
	return got, answer
}

func TestADeviceTellsWhatItServes(t *testing.T) {
	site := inferenceSite(t)
	for _, c := range []struct {
		method, path string
		code         int
		says         string
	}{
		{"GET", "/v2", 200, `"version":"1.2.3","extensions":["binary_tensor_data"]`},
		{"GET", "/v2/health/live", 200, `{"live":true}`},
		{"GET", "/v2/health/ready", 503, `{"error":"No worker is ready`},
		{"GET", "/v2/models/centerface", 200, `"inputs":[{"name":"image"`},
		{"GET", "/v2/models/centerface/versions/1", 200, `"name":"centerface"`},
		{"GET", "/v2/models/centerface/versions/2", 404, `version 2`},
		{"GET", "/v2/models/yunet", 404, `detector.model`},
		{"GET", "/v2/models/centerface/ready", 503, `{"error":`},
		{"GET", "/v2/models/yunet/ready", 404, `{"error":`},
		{"POST", "/v2/models/centerface/infer", 503, `{"error":`},
		{"POST", "/v2/models/yunet/infer", 404, `{"error":`},
		{"POST", "/v2/models/" + strings.Repeat("a", 4000) + "/versions/1/infer", 404, `{"error":`},
	} {
		code, answer := asked(t, c.method, site.URL+c.path, "", nil)
		if code != c.code || !strings.Contains(string(answer), c.says) || !json.Valid(answer) || len(answer) > 600 {
			t.Errorf("%s %s: %d %s", c.method, c.path, code, answer)
		}
	}
}

func TestADeviceThatStopsIsNotReady(t *testing.T) {
	dispatcher := dispatch.New(dispatch.Options{Outcome: func(dispatch.Outcome) {}})
	g, err := New(Settings{InputWidth: 32, InputHeight: 32, Workers: 1, Credit: 1, Limits: Limits{Bytes: pictureMost}}, dispatcher)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	g.Drain(0)
	if told := refusalOf(g.Unready()); told.Reason != reasonStopping {
		t.Errorf("%+v", told)
	}
}

func packed(t *testing.T, encoding string, content []byte) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	var into io.WriteCloser = zlib.NewWriter(&out)
	if encoding == "gzip" {
		into = gzip.NewWriter(&out)
	}
	if _, err := into.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := into.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

func TestAPackedBodyIsUnpackedUpToTheLimit(t *testing.T) {
	site := inferenceSite(t)
	const most = pictureMost + openinference.JSONMost
	for _, encoding := range []string{"gzip", "deflate"} {
		fits := bytes.Repeat([]byte("visavis "), most/8)
		if code, answer := asked(t, "POST", site.URL+"/echo", encoding, packed(t, encoding, fits)); code != 200 || !bytes.Equal(answer, fits) {
			t.Errorf("%s of %d bytes: %d, %d bytes", encoding, len(fits), code, len(answer))
		}
		for _, same := range []string{strings.ToUpper(encoding), strings.ReplaceAll(encoding, "gzip", "x-gzip")} {
			if code, _ := asked(t, "POST", site.URL+"/echo", same, packed(t, encoding, fits)); code != 200 {
				t.Errorf("%s: %d", same, code)
			}
		}
		bomb := packed(t, encoding, make([]byte, 64*most))
		if code, answer := asked(t, "POST", site.URL+"/echo", encoding, bomb); code != 413 || !strings.Contains(string(answer), "gateway.picture_mb") {
			t.Errorf("%s bomb: %d %.200s", encoding, code, answer)
		}
		cut := packed(t, encoding, fits).Bytes()
		for _, n := range []int{0, 1, 5, len(cut) - 1} {
			if code, _ := asked(t, "POST", site.URL+"/echo", encoding, bytes.NewReader(cut[:n])); code != 400 {
				t.Errorf("%d bytes of %s: %d", n, encoding, code)
			}
		}
	}
	long := append(packed(t, "deflate", []byte("visavis")).Bytes(), make([]byte, 1<<14)...)
	if code, answer := asked(t, "POST", site.URL+"/echo", "deflate", bytes.NewReader(long)); code != 400 || !strings.Contains(string(answer), "follows") {
		t.Errorf("a body that goes on: %d %.200s", code, answer)
	}
	if code, _ := asked(t, "POST", site.URL+"/echo", "br", strings.NewReader("a")); code != 415 {
		t.Errorf("another encoding: %d", code)
	}
	// Members of gzip that unpack to nothing are read up to the limit, and no further.
	empty := bytes.Repeat(packed(t, "gzip", nil).Bytes(), 3*most/23)
	if code, _ := asked(t, "POST", site.URL+"/echo", "gzip", io.MultiReader(bytes.NewReader(empty))); code != 400 {
		t.Errorf("%d bytes that unpack to nothing: %d", len(empty), code)
	}
}

func TestPixelsAreBoundedAsPicturesAre(t *testing.T) {
	const side = 64
	pixels := openinference.Request{Pixels: make([]byte, 3*side*side), Width: side, Height: side}
	enough := Limits{Bytes: len(pixels.Pixels), DecodeBytes: bytesPerPixel * side * side}
	for what, c := range map[string]struct {
		limits Limits
		status int
	}{
		"as many bytes": {enough, 0},
		"a byte more":   {Limits{enough.Bytes - 1, enough.DecodeBytes}, http.StatusRequestEntityTooLarge},
		"too much work": {Limits{enough.Bytes, enough.DecodeBytes - 1}, http.StatusRequestEntityTooLarge},
	} {
		_, _, err := inspectInput(pixels, c.limits)
		if (err != nil) != (c.status != 0) || err != nil && refusalOf(err).Status != c.status {
			t.Errorf("%s: %v, want %d", what, err, c.status)
		}
	}
}

func TestABodyThatSaysThatItIsTooLongIsNotRead(t *testing.T) {
	g := &Gateway{bodies: newBudget(1 << 20), settings: Settings{Limits: Limits{Bytes: pictureMost}}}
	for header, most := range map[int]int64{-1: int64(inBase64(pictureMost) + jsonMore), 0: pictureMost + openinference.JSONMost} {
		for _, more := range []int64{0, 1} {
			left := bytes.NewReader([]byte("{}"))
			r := httptest.NewRequest("POST", "/", left)
			r.ContentLength = most + more
			sent, err := g.readInference(&slow{}, r, header)
			sent.release()
			if unread := left.Len() == 2; unread != (more > 0) || (err != nil) != (more > 0) {
				t.Errorf("%d more than there may be, header %d: %d bytes are left, %v", more, header, left.Len(), err)
			}
			if err != nil && refusalOf(err).Status != http.StatusRequestEntityTooLarge {
				t.Errorf("it is told %v", err)
			}
		}
	}
}

// What it holds as text it holds once more as bytes, and for that there is no room.
func TestJSONThatTakesHalfOfAllMemoryIsRefusedAndHoldsNothing(t *testing.T) {
	const all = 64 << 10
	half := strings.Repeat(" ", all/2-1)
	g := &Gateway{bodies: newBudget(all), settings: Settings{Limits: Limits{Bytes: pictureMost}}}
	for header, refused := range map[int]bool{-1: true, 0: false} {
		sent, err := g.readInference(&slow{}, httptest.NewRequest("POST", "/", strings.NewReader(half)), header)
		if IsBusy(err) != refused || (err != nil) != refused {
			t.Errorf("header %d: %v", header, err)
		}
		if refused && g.bodies.free != all {
			t.Errorf("%d bytes are held", all-g.bodies.free)
		}
		sent.release()
	}
}
