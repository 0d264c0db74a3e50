// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/prometheus/client_golang/prometheus"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/gateway/decode"
	"visavis/capture/internal/waiting"
)

// door is the push: camera "door" behind a server of its own; the test is the camera and its clients.
type door struct {
	t       *testing.T
	gateway *gateway.Gateway
	feed    *gateway.Feed
	url     string
	into    *frame.Picture
	left    chan struct{} // one for each client that has been served
}

// openDoor makes a camera of 64x48 pixels.
func openDoor(t *testing.T) *door {
	t.Helper()
	dispatcher := dispatch.New(dispatch.Options{Outcome: func(dispatch.Outcome) {}})
	g, err := gateway.New(gateway.Settings{
		InputWidth: 32, InputHeight: 32, Workers: 1, Credit: 1, Queue: 1, QueuePerClient: 1, Streams: 1, Limits: limits,
		Tools: gateway.Tools{Decode: decode.Upright},
	}, dispatcher)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	left := make(chan struct{}, 16)
	mux.HandleFunc("/{id}/push", func(w http.ResponseWriter, r *http.Request) {
		g.ServePush(w, r)
		select {
		case left <- struct{}{}:
		default: // most tests do not ask
		}
	})
	server := httptest.NewServer(mux)
	pool := frame.NewPool(1)
	into, _ := pool.Get()
	d := &door{t: t, gateway: g, url: server.URL + "/door/push", into: into, left: left}
	d.feed = g.AddFeed(gateway.FeedSettings{Camera: "door", Pixels: 64 * 48, Stall: waiting.Most})
	t.Cleanup(func() { server.Close(); into.Release(); pool.Close(); g.Close() })
	return d
}

func (d *door) context() context.Context {
	return waiting.Context(d.t)
}

// client connects; status is that of a refusal.
func (d *door) client() (socket *websocket.Conn, status int) {
	d.t.Helper()
	socket, answer, err := websocket.Dial(d.context(), d.url, nil)
	switch {
	case err != nil && answer == nil:
		d.t.Fatal(err)
	case err != nil:
		return nil, answer.StatusCode
	}
	d.t.Cleanup(func() { _ = socket.CloseNow() })
	return socket, 0
}

func (d *door) connect() *websocket.Conn {
	d.t.Helper()
	socket, status := d.client()
	if socket == nil {
		d.t.Fatalf("the client was refused with %d", status)
	}
	return socket
}

func (d *door) send(socket *websocket.Conn, picture []byte) {
	d.t.Helper()
	if err := socket.Write(d.context(), websocket.MessageBinary, picture); err != nil {
		d.t.Fatal(err)
	}
}

type told struct {
	Index   uint64
	Dropped []uint64
	Frame   *uint64
	Problem *struct {
		Status int
		Detail string
	}
}

func (d *door) answer(socket *websocket.Conn) told {
	d.t.Helper()
	_, text, err := socket.Read(d.context())
	if err != nil {
		d.t.Fatal(err)
	}
	var a told
	if err := json.Unmarshal(text, &a); err != nil {
		d.t.Fatal(err)
	}
	return a
}

// next takes a picture as the camera does.
func (d *door) next() *gateway.Pushed {
	d.t.Helper()
	pushed, err := d.feed.Next(d.context())
	if err != nil {
		d.t.Fatal(err)
	}
	return pushed
}

func (d *door) decoded() *gateway.Pushed {
	d.t.Helper()
	pushed := d.next()
	if err := pushed.Decode(d.context(), d.into); err != nil {
		d.t.Fatal(err)
	}
	return pushed
}

func TestAPushedPictureIsTakenAndItsClientLearnsWhichFrameItBecame(t *testing.T) {
	d := openDoor(t)
	client := d.connect()
	sizes := []image.Point{{64, 48}, {40, 30}, {48, 64}}
	for index, size := range sizes {
		before := frame.MonotonicNs()
		d.send(client, asJPEG(t, speckled(size.X, size.Y)))
		pushed := d.decoded()
		if d.into.Width != size.X || d.into.Height != size.Y || d.into.DriverSeq != uint64(index+1) {
			t.Fatalf("picture %d: %dx%d, number %d, want %v", index, d.into.Width, d.into.Height, d.into.DriverSeq, size)
		}
		if ns := d.into.CapturedNs; ns < before || ns > frame.MonotonicNs() {
			t.Fatalf("captured at %d, sent at %d", ns, before)
		}
		pushed.Numbered(uint64(index + 70))
		if a := d.answer(client); a.Index != uint64(index) || len(a.Dropped) != 0 || a.Frame == nil || *a.Frame != uint64(index+70) {
			t.Fatalf("picture %d: told %+v", index, a)
		}
	}
}

// withoutTables leaves out the tables of Huffman's code, which Go writes right before the scan.
func withoutTables(picture []byte) []byte {
	at := bytes.Index(picture, []byte{0xFF, 0xC4})
	return append(bytes.Clone(picture[:at]), picture[bytes.Index(picture, []byte{0xFF, 0xDA}):]...)
}

func TestViewersGetTheClientsOwnJPEGWithoutWhatItTellsAboutItself(t *testing.T) {
	d := openDoor(t)
	client := d.connect()
	plain := asJPEG(t, speckled(64, 48))
	for name, c := range map[string]struct{ sent, own []byte }{
		"as it is": {plain, plain}, "without tables": {withoutTables(plain), plain}, "with EXIF": {turned(plain, 1), plain}, "turned by EXIF": {turned(plain, 6), nil},
		"decoded smaller": {asJPEG(t, speckled(128, 96)), nil}, "PNG": {asPNG(t, speckled(64, 48)), nil},
	} {
		d.send(client, c.sent)
		d.decoded().Numbered(1)
		if string(d.into.JPEG) != string(c.own) || (c.own == nil) != (d.into.JPEG == nil) {
			t.Errorf("%s: %d bytes for viewers, want %d", name, len(d.into.JPEG), len(c.own))
		}
		d.answer(client)
	}
}

func TestTheNewestPictureWinsAndTheOthersAreNamed(t *testing.T) {
	d := openDoor(t)
	client := d.connect()
	d.send(client, asJPEG(t, speckled(16, 12)))
	first := d.decoded() // the camera is busy with it while the others come
	for width := 17; width <= 20; width++ {
		d.send(client, asJPEG(t, speckled(width, 12)))
	}
	waiting.Until(t, "three pictures are replaced", func() bool { return d.counted()["replaced"] >= 3 })
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := d.feed.Next(ended); err == nil {
		t.Fatal("a second picture was given before the client has the answer to the first")
	}
	first.Numbered(1)
	if a := d.answer(client); a.Index != 0 || len(a.Dropped) != 0 {
		t.Fatalf("told %+v", a)
	}
	d.decoded().Numbered(2)
	if d.into.Width != 20 {
		t.Errorf("the picture of %d pixels was taken, want the newest, of 20", d.into.Width)
	}
	if a := d.answer(client); a.Index != 4 || !slices.Equal(a.Dropped, []uint64{1, 2, 3}) {
		t.Fatalf("told %+v", a)
	}
	if got := d.counted()["captured"]; got != 2 {
		t.Errorf("%v pictures count as captured, want 2", got)
	}
}

// counted is what the metrics say became of pictures, by outcome.
func (d *door) counted() map[string]float64 {
	d.t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(d.gateway.Collector())
	families, err := registry.Gather()
	if err != nil {
		d.t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, family := range families {
		for _, one := range family.GetMetric() {
			if family.GetName() == "visavis_pushed_pictures_total" {
				counted[one.GetLabel()[1].GetValue()] = one.GetCounter().GetValue() // labels are sorted: camera, outcome
			}
		}
	}
	return counted
}

func TestAPictureThatCannotBeTakenIsToldAndTheNextOneIsTaken(t *testing.T) {
	d := openDoor(t)
	client := d.connect()
	for _, c := range []struct {
		picture []byte
		status  int
		words   string
	}{
		{[]byte("no picture"), 422, "no JPEG"},
		{asPNG(t, speckled(128, 96)), 413, "camera.size"},
		{bytes.TrimSuffix(asJPEG(t, speckled(64, 48)), []byte{0xFF, 0xD9}), 422, "too early"},
		{resized(asJPEG(t, speckled(64, 48)), 16_000, 16_000), 413, "million"},
	} {
		d.send(client, c.picture)
		if err := d.next().Decode(d.context(), d.into); err == nil {
			t.Fatalf("%.20q was taken", c.picture)
		}
		if a := d.answer(client); a.Problem == nil || a.Problem.Status != c.status || !strings.Contains(a.Problem.Detail, c.words) || a.Frame != nil {
			t.Errorf("told %+v, want %d with %q", a, c.status, c.words)
		}
	}
	d.send(client, asJPEG(t, speckled(64, 48)))
	d.decoded().Skip()
	if a := d.answer(client); a.Frame != nil || a.Problem != nil || a.Index != 4 {
		t.Errorf("a picture that was not wanted: told %+v", a)
	}
}

// The library gives up a byte later than the gateway does, and would have said nothing by then.
func TestAPictureWithTooManyBytesIsCountedAndItsClientIsToldTheSetting(t *testing.T) {
	d := openDoor(t)
	client := d.connect()
	d.send(client, make([]byte, limits.Bytes+1<<16))
	_, _, err := client.Read(d.context())
	if websocket.CloseStatus(err) != websocket.StatusMessageTooBig || !strings.Contains(err.Error(), "gateway.picture_mb") {
		t.Errorf("the client was told %v", err)
	}
	if got := d.counted()["refused"]; got != 1 {
		t.Errorf("%v pictures count as refused, want 1", got)
	}
}

func TestOneClientFeedsAtATime(t *testing.T) {
	d := openDoor(t)
	first := d.connect()
	for range 2 * cap(d.left) {
		if _, status := d.client(); status != http.StatusConflict {
			t.Fatalf("the second client got %d, want 409", status)
		}
	}
	d.send(first, asJPEG(t, speckled(16, 12)))
	pushed := d.decoded()
	_ = first.CloseNow()
	var second *websocket.Conn
	waiting.Until(t, "the door opens behind a client that has gone", func() bool {
		second, _ = d.client() // refused until then
		return second != nil
	})
	pushed.Numbered(1) // is told to nobody
	d.send(second, asJPEG(t, speckled(17, 12)))
	d.decoded().Numbered(2)
	if a := d.answer(second); a.Index != 0 || *a.Frame != 2 {
		t.Errorf("the second client is told %+v", a)
	}
}

func TestACameraThatGoesEndsItsClientAndTakesNoOther(t *testing.T) {
	d := openDoor(t)
	client := d.connect()
	d.feed.Close()
	_, _, err := client.Read(d.context())
	if websocket.CloseStatus(err) != websocket.StatusGoingAway || !strings.Contains(err.Error(), "connect again") {
		t.Errorf("the client was told %v", err)
	}
	if _, status := d.client(); status != http.StatusNotFound {
		t.Errorf("a client of a camera that has gone got %d, want 404", status)
	}
}

// The clients neither read nor answer, as one whose network went away; one of them in the middle of what is no picture.
func TestASilentClientHoldsUpNoEndOfItsCamera(t *testing.T) {
	for name, begin := range map[string]func(d *door, socket *websocket.Conn){
		"the camera goes": func(d *door, _ *websocket.Conn) { d.feed.Close() },
		"it sent half a text": func(d *door, socket *websocket.Conn) {
			text, err := socket.Writer(d.context(), websocket.MessageText)
			if err != nil {
				d.t.Fatal(err)
			}
			if _, err := text.Write(make([]byte, 1<<14)); err != nil { // more than the library keeps back
				d.t.Fatal(err)
			}
		},
	} {
		d := openDoor(t)
		begin(d, d.connect())
		waiting.For(t, name+": its end", d.left)
	}
}

func TestTheFiguresOfACameraGoWithIt(t *testing.T) {
	d := openDoor(t)
	client := d.connect()
	d.send(client, asJPEG(t, speckled(16, 12)))
	d.decoded().Numbered(1)
	d.answer(client)
	if len(d.counted()) == 0 {
		t.Error("nothing is told of a camera that is there")
	}
	d.feed.Close()
	if got := d.counted(); len(got) > 0 {
		t.Errorf("a camera that has gone is told of: %v", got)
	}
}

func TestWaitingForAPictureEndsWithItsReasonAndAPictureThatCameIsStillThere(t *testing.T) {
	d := openDoor(t)
	reason := errors.New("nobody came")
	ctx, cancel := context.WithTimeoutCause(context.Background(), time.Millisecond, reason)
	defer cancel()
	if _, err := d.feed.Next(ctx); !errors.Is(err, reason) {
		t.Errorf("Next: %v", err)
	}
	if err := d.feed.Await(ctx); !errors.Is(err, reason) {
		t.Errorf("Await: %v", err)
	}
	client := d.connect()
	d.send(client, asJPEG(t, speckled(16, 12)))
	for range 3 {
		if err := d.feed.Await(d.context()); err != nil {
			t.Fatal(err)
		}
	}
	d.decoded().Numbered(1)
	d.answer(client)
}

func TestADeviceMayTakeNoPicturesInTheirOwnSize(t *testing.T) {
	d := openDoor(t) // its settings leave FullSide at 0
	for query, want := range map[string]int{"?input=full": http.StatusBadRequest, "": http.StatusServiceUnavailable} {
		answer := httptest.NewRecorder()
		d.gateway.ServeDetect(answer, httptest.NewRequest(http.MethodPost, "/api/v1/detect"+query, nil))
		if answer.Code != want || (query != "" && !strings.Contains(answer.Body.String(), "gateway.full_side")) {
			t.Errorf("%q got %d %s, want %d", query, answer.Code, answer.Body, want)
		}
	}
}

func TestAPlainRequestAndAnotherCameraAreRefused(t *testing.T) {
	d := openDoor(t)
	for path, want := range map[string]int{"": http.StatusUpgradeRequired, "/../../garden/push": http.StatusNotFound} {
		answer, err := http.Get(d.url + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%q got %d, want %d", path, answer.StatusCode, want)
		}
		if required := answer.Header.Get("Upgrade"); (required == "websocket" && answer.Header.Get("Connection") == "Upgrade") != (want == http.StatusUpgradeRequired) {
			t.Errorf("%q: what it has to become is called %q", path, required)
		}
	}
}

func TestADeviceThatStopsTellsItsFeederAndTakesNoOther(t *testing.T) {
	d := openDoor(t)
	socket := d.connect()
	drained := make(chan struct{})
	go func() { d.gateway.Drain(waiting.Most); close(drained) }()
	_, _, err := socket.Read(d.context())
	if websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Fatalf("%v, want going away", err)
	}
	<-drained
	if _, status := d.client(); status != http.StatusServiceUnavailable {
		t.Fatalf("a client that comes then gets %d, want 503", status)
	}
}

func TestAPictureThatTheCameraHasIsAnsweredWhileTheDeviceStops(t *testing.T) {
	d := openDoor(t)
	socket := d.connect()
	d.send(socket, asJPEG(t, speckled(16, 12)))
	taken := d.decoded()
	drained := make(chan struct{})
	go func() { d.gateway.Drain(waiting.Most); close(drained) }()
	waiting.Until(t, "it stops", d.gateway.Stopping)
	taken.Numbered(7)
	if a := d.answer(socket); a.Frame == nil || *a.Frame != 7 {
		t.Errorf("told %+v", a)
	}
	if _, _, err := socket.Read(d.context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("%v, want going away", err)
	}
	<-drained
}

func TestWhoFeedsACameraThatIsSwitchedOffIsTold(t *testing.T) {
	d := openDoor(t)
	client := d.connect()
	off, on := context.WithCancel(d.context())
	declined := make(chan struct{})
	go func() {
		defer close(declined)
		d.feed.Decline(off)
	}()
	for index := range uint64(3) {
		d.send(client, asJPEG(t, speckled(16, 12)))
		a := d.answer(client)
		if a.Index != index || a.Frame != nil || a.Problem == nil || a.Problem.Status != 503 || !strings.Contains(a.Problem.Detail, "set/enabled") {
			t.Fatalf("told %+v", a)
		}
	}
	on()
	waiting.For(t, "the camera is free to take pictures", declined)
	d.send(client, asJPEG(t, speckled(16, 12)))
	d.decoded().Numbered(7)
	if a := d.answer(client); a.Index != 3 || a.Frame == nil || *a.Frame != 7 {
		t.Errorf("told %+v", a)
	}
}
