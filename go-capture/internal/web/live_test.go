// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/waiting"
)

// dial opens the live picture of the one camera; the connection ends with the test.
func (r *running) dial(t *testing.T, query string) *websocket.Conn {
	t.Helper()
	connection, _, err := websocket.Dial(context.Background(), r.url+"/api/v1/cameras/door/live"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.CloseNow() }) // most tests have ended it
	connection.SetReadLimit(1 << 20)
	return connection
}

// receive reads one frame: its detections and its JPEG.
func receive(t *testing.T, connection *websocket.Conn) (detections string, jpeg []byte) {
	t.Helper()
	ctx := waiting.Context(t)
	kind, text, err := connection.Read(ctx)
	if err != nil || kind != websocket.MessageText {
		t.Fatalf("the first message of a frame: kind %v, %v", kind, err)
	}
	kind, jpeg, err = connection.Read(ctx)
	if err != nil || kind != websocket.MessageBinary {
		t.Fatalf("the second message of a frame: kind %v, %v", kind, err)
	}
	return string(text), jpeg
}

func TestALiveViewerGetsTheDetectionsAndThePictureOfTheSameFrame(t *testing.T) {
	r := serve(t)
	pool := frame.NewPool(4)
	connection := r.dial(t, "")
	waiting.Until(t, "it watches", func() bool { return r.figures().Now == 1 })
	for n := uint64(1); n <= 5; n++ {
		r.show(pool, n)
		detections, jpeg := receive(t, connection)
		if detections != seqText(n) || len(jpeg) != 20_000 {
			t.Fatalf("frame %d came as %q with %d bytes", n, detections, len(jpeg))
		}
	}
	if err := connection.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	waiting.Until(t, "it is forgotten", func() bool { return r.figures().Now == 0 })
}

func TestAViewerThatAcknowledgesIsNeverMoreThanThatFarBehind(t *testing.T) {
	r := serveWith(t, time.Minute)
	pool := frame.NewPool(8)
	connection := r.dial(t, "?ahead=2")
	waiting.Until(t, "it watches", func() bool { return r.figures().Now == 1 })
	for n := uint64(1); n <= 100; n++ {
		r.show(pool, n)
		if n <= 2 {
			waiting.Until(t, "the first two are under way", func() bool { return r.figures().Sent == n })
		}
	}
	waiting.Until(t, "all are lost but the two under way and the newest, which waits", func() bool { return r.figures().Dropped == 97 })
	receive(t, connection)
	receive(t, connection)
	if sent := r.figures().Sent; sent != 2 {
		t.Fatalf("%d pictures were sent to a viewer that acknowledged none", sent)
	}
	if err := connection.Write(context.Background(), websocket.MessageText, nil); err != nil {
		t.Fatal(err)
	}
	if detections, _ := receive(t, connection); detections != seqText(100) {
		t.Fatalf("after the pause comes %q, want the newest", detections)
	}
}

func TestAViewerThatAcknowledgesNothingIsClosedInTheEnd(t *testing.T) {
	r := serveWith(t, time.Second) // enough to send the one picture
	pool := frame.NewPool(4)
	r.dial(t, "?ahead=1")
	waiting.Until(t, "it watches", func() bool { return r.figures().Now == 1 })
	r.show(pool, 1)
	waiting.Until(t, "it is closed", func() bool { return r.figures().Sent == 1 && r.figures().Now == 0 })
}

func TestALiveViewEndsWithItsCamera(t *testing.T) {
	r := serve(t)
	connection := r.dial(t, "")
	waiting.Until(t, "it watches", func() bool { return r.figures().Now == 1 })
	r.server.CameraRemoved("door")
	ctx := waiting.Context(t)
	if _, _, err := connection.Read(ctx); err == nil || ctx.Err() != nil {
		t.Fatalf("want the end of the connection, not %v", err)
	}
}

func TestOnlyOurOwnPageAndProgramsOpenALiveView(t *testing.T) {
	r := serve(t)
	for _, c := range []struct {
		header http.Header
		code   int
	}{
		{http.Header{"Origin": {"http://evil.example"}}, http.StatusForbidden},
		{http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"websocket"}}, http.StatusForbidden},
		{http.Header{"Origin": {r.url}}, http.StatusSwitchingProtocols},
		{http.Header{}, http.StatusSwitchingProtocols},
	} {
		address := strings.Replace(r.url, "http", "ws", 1) + "/api/v1/cameras/door/live"
		connection, answer, err := websocket.Dial(context.Background(), address, &websocket.DialOptions{HTTPHeader: c.header})
		if answer == nil || answer.StatusCode != c.code {
			t.Fatalf("%v: %v, want %d (%v)", c.header, answer, c.code, err)
		}
		if connection != nil {
			_ = connection.CloseNow() // the answer was the test
		}
	}
}

func TestALiveViewerIsToldWhenTheCameraGoesOrTheDeviceStops(t *testing.T) {
	for name, end := range map[string]func(*running){
		"camera": func(r *running) { r.server.CameraRemoved("door") }, "device": func(r *running) { r.server.closeStudios() },
	} {
		r := serve(t)
		connection := r.dial(t, "")
		waiting.Until(t, "it watches", func() bool { return r.figures().Now == 1 })
		go end(r)
		_, _, err := connection.Read(waiting.Context(t))
		if websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("%s: %v, want going away", name, err)
		}
	}
}

func TestAViewerThatReadsNothingDoesNotHoldUpADeviceThatStops(t *testing.T) {
	r := serveWith(t, time.Hour)
	pool := frame.NewPool(8)
	r.dial(t, "")
	waiting.Until(t, "it watches", func() bool { return r.figures().Now == 1 })
	number := uint64(0)
	waiting.Until(t, "a picture does not get through", func() bool {
		number++
		r.show(pool, number)
		return r.figures().Dropped > 50
	})
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		r.server.closeStudios()
	}()
	waiting.For(t, "all viewers have gone", closed)
}

func TestAPictureInWhichNobodyLookedComesWithoutDetections(t *testing.T) {
	r := serve(t)
	pool := frame.NewPool(4)
	connection := r.dial(t, "")
	waiting.Until(t, "it watches", func() bool { return r.figures().Now == 1 })
	r.show(pool, 1)
	receive(t, connection)
	picture, _ := pool.Get()
	picture.CapturedNs = frame.MonotonicNs()
	r.server.Show(&hub.Result{Camera: "door", CapturedNs: picture.CapturedNs, Picture: picture, Unlooked: true})
	picture.Release()
	if kind, _, err := connection.Read(waiting.Context(t)); err != nil || kind != websocket.MessageBinary {
		t.Fatalf("the picture came as %v, %v", kind, err)
	}
	r.show(pool, 2)
	if detections, _ := receive(t, connection); detections != seqText(2) {
		t.Errorf("after it came %q", detections)
	}
}

func TestAPictureThatIsOlderThanTheNewestIsNotShown(t *testing.T) {
	r := serve(t)
	pool := frame.NewPool(4)
	newest, _ := pool.Get()
	newest.CapturedNs = frame.MonotonicNs()
	older, _ := pool.Get()
	older.CapturedNs = newest.CapturedNs - 1
	r.server.Show(&hub.Result{Camera: "door", CapturedNs: newest.CapturedNs, Picture: newest, Unlooked: true})
	r.server.Take(&hub.Result{Camera: "door", Seq: 7, CapturedNs: older.CapturedNs, Picture: older})
	newest.Release()
	older.Release()
	shown, err := r.server.studioOf("door").borrow()
	if err != nil {
		t.Fatal(err)
	}
	defer shown.Picture.Release()
	if shown.Picture != newest {
		t.Error("who looks now sees what was before")
	}
}
