// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/dispatch/dispatchtest"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/openinference"
	"visavis/capture/internal/waiting"
	"visavis/capture/internal/websockets"
)

const large = pictureMost / 2 // bytes: of those that a client may hold, few

// lender is a device whose worker keeps the first frame for ever. Its camera "door" is fed, and is the test.
type lender struct {
	*Gateway
	t      *testing.T
	url    string
	feed   *Feed
	worker net.Conn
}

func openLender(t *testing.T) *lender {
	t.Helper()
	var g *Gateway
	patientMs := int(waiting.Most.Milliseconds())
	dispatcher := dispatch.New(dispatch.Options{LeaseMs: patientMs, HelloMs: patientMs,
		Outcome: func(o dispatch.Outcome) { g.Outcome(o) }})
	made, err := New(Settings{Model: "centerface", InputWidth: 32, InputHeight: 32, Workers: 1, Credit: 1, Queue: 1,
		QueuePerClient: 1, Streams: 1, Deadline: time.Hour, Limits: Limits{Bytes: pictureMost, DecodeBytes: 48 << 20},
		Tools: Tools{Decode: decoded(nil), Draw: drawn(nil)}}, dispatcher)
	if err != nil {
		t.Fatal(err)
	}
	g = made
	mux := http.NewServeMux()
	mux.HandleFunc("/detect", g.ServeDetect)
	mux.HandleFunc("/models/{model}/infer", g.ServeInfer)
	mux.HandleFunc("/stream", g.ServeStream)
	mux.HandleFunc("/{id}/push", g.ServePush)
	server := httptest.NewServer(mux)
	t.Cleanup(func() { server.Close(); g.Close() })
	worker := dispatchtest.Stuck(t, dispatcher)
	feed := g.AddFeed(FeedSettings{Camera: "door", Pixels: 64 * 48, Stall: waiting.Most})
	return &lender{g, t, server.URL, feed, worker}
}

// decoded is a Decode that ends so.
func decoded(err error) func([]byte, Header, int, *frame.Picture) error {
	return func([]byte, Header, int, *frame.Picture) error { return err }
}

// drawn is a Draw that ends so.
func drawn(err error) func(*frame.Picture, []byte, geometry.Letterbox) error {
	return func(*frame.Picture, []byte, geometry.Letterbox) error { return err }
}

// hasAll waits until nobody holds memory any more.
func (l *lender) hasAll() {
	l.t.Helper()
	waiting.Until(l.t, "all memory is back", func() bool {
		l.bodies.mu.Lock()
		defer l.bodies.mu.Unlock()
		l.decoding.mu.Lock()
		defer l.decoding.mu.Unlock()
		return l.bodies.free == bodiesMost*pictureMost && l.decoding.free == 48<<20
	})
}

// hasNone lets others hold all memory for bodies, until it is called.
func (l *lender) hasNone() (giveBack func()) {
	add := func(bytes int64) {
		l.bodies.mu.Lock()
		defer l.bodies.mu.Unlock()
		l.bodies.free += bytes
	}
	add(-bodiesMost * pictureMost)
	return func() { add(bodiesMost * pictureMost) }
}

func (l *lender) dial(path string) *websocket.Conn {
	l.t.Helper()
	socket, _, err := websocket.Dial(waiting.Context(l.t), strings.Replace(l.url, "http", "ws", 1)+path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = socket.CloseNow() })
	return socket
}

func (l *lender) send(socket *websocket.Conn, picture []byte) {
	l.t.Helper()
	if err := socket.Write(waiting.Context(l.t), websocket.MessageBinary, picture); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lender) answer(socket *websocket.Conn) string {
	l.t.Helper()
	_, text, err := socket.Read(waiting.Context(l.t))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

func TestOfARequestThatIsRefusedNothingIsHeld(t *testing.T) {
	l := openLender(t)
	for _, c := range []struct {
		path, contentType, body string
		status                  int
	}{
		{"/detect", jpegType, strings.Repeat("x", large), http.StatusUnprocessableEntity},
		{"/detect", jsonType, "{}" + strings.Repeat(" ", large), http.StatusBadRequest},
		{"/models/centerface/infer", jsonType, "{}" + strings.Repeat(" ", large), http.StatusBadRequest},
	} {
		answer, err := http.Post(l.url+c.path, c.contentType, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close() // nobody reads it
		if answer.StatusCode != c.status {
			t.Errorf("%s of %s got %d, want %d", c.path, c.contentType, answer.StatusCode, c.status)
		}
		l.hasAll()
	}
}

// call asks over another wire for what is no picture.
func (l *lender) call(from Caller) error {
	_, _, err := l.Infer(waiting.Context(l.t), from, func() (Call, error) {
		return Call{Model: "centerface", Request: openinference.Request{Encoded: make([]byte, large)}}, nil
	})
	return err
}

func TestACallHoldsNothingWhenItIsOver(t *testing.T) {
	l, caller := openLender(t), Caller{Account: "robot"}
	giveBack := l.hasNone()
	if err := l.call(caller); !IsBusy(err) {
		t.Errorf("without memory it is told %v", err)
	}
	giveBack()
	if err := l.call(caller); refusalOf(err).Status != http.StatusUnprocessableEntity {
		t.Errorf("it is told %v", err)
	}
	l.hasAll()
	for range 2 { // as many as there may be, one after the other
		release, err := l.OpenStream(caller)
		if err != nil {
			t.Fatal(err)
		}
		release()
	}
	if n := l.Figures().Streams; n != 0 {
		t.Errorf("%d streams are open", n)
	}
}

func TestAStreamHoldsNothingOfWhatItHasAnswered(t *testing.T) {
	l := openLender(t)
	socket := l.dial("/stream")
	for range 2 * bodiesMost {
		l.send(socket, make([]byte, large))
		if told := l.answer(socket); !strings.Contains(told, `"status":422`) {
			t.Fatalf("told %s", told)
		}
	}
	l.hasAll()
}

// The first picture is with the worker, or waits for it, while the second one comes. It is left to chance whether that
// is looked at when the client has gone.
func TestAStreamThatEndsGivesThePictureBackThatWaits(t *testing.T) {
	l := openLender(t)
	for n := range 8 {
		socket := l.dial("/stream")
		l.send(socket, drawing(t, 64, 48))
		waiting.Until(t, "it has a place", func() bool { _, busy := l.lengths(); return busy == 1+min(n, 1) })
		l.send(socket, make([]byte, large))
		waiting.Until(t, "two have come", func() bool { return l.Figures().Received == uint64(2*n+2) })
		_ = socket.CloseNow() // without a word
		waiting.Until(t, "the stream has ended", func() bool { return l.Figures().Open == 0 && l.sockets.Taken() == 0 })
		l.hasAll()
	}
}

func TestAFeederThatGoesGivesThePictureBackThatWaits(t *testing.T) {
	l := openLender(t)
	socket := l.dial("/door/push")
	l.send(socket, drawing(t, 64, 48))
	pushed, err := l.feed.Next(waiting.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	var into frame.Picture
	if err := pushed.Decode(waiting.Context(t), &into); err != nil {
		t.Fatal(err)
	}
	pushed.Skip()
	l.answer(socket)
	l.hasAll()
	l.send(socket, make([]byte, large))
	if err := l.feed.Await(waiting.Context(t)); err != nil {
		t.Fatal(err)
	}
	_ = socket.CloseNow() // without a word
	l.hasAll()
}

// The client is told, and the next picture is not read out of the middle of this one.
func TestAFeederGoesOnAfterAPictureForWhichThereWasNoMemory(t *testing.T) {
	l := openLender(t)
	socket, giveBack := l.dial("/door/push"), l.hasNone()
	taken := make(chan *Pushed, 1)
	go func() {
		if next, err := l.feed.Next(waiting.Context(t)); err == nil {
			taken <- next
		}
	}()
	l.send(socket, bytes.Repeat([]byte{1}, large))
	if told := l.answer(socket); !strings.Contains(told, `"status":429`) {
		t.Fatalf("told %s", told)
	}
	giveBack()
	l.send(socket, drawing(t, 64, 48))
	waiting.For(t, "the next picture is taken", taken).Skip()
	l.answer(socket)
	l.hasAll()
}

// A client that takes a refusal for a reason to send again at once is slowed down.
func TestAStreamRestsAfterARefusalThatSaysWhenToComeAgain(t *testing.T) {
	l := openLender(t)
	l.addresses = newBuckets[netip.Addr](1e-9)
	for _, c := range []struct {
		what, from string
		picture    *body
		status     int
		pause      time.Duration
	}{
		{"no picture", "10.0.0.1", &body{bytes: []byte("no picture")}, http.StatusUnprocessableEntity, 0},
		{"one more than its address may send", "10.0.0.1", &body{}, http.StatusTooManyRequests, pauseMost},
		{"without memory", "10.0.0.2", nil, http.StatusTooManyRequests, pauseMost},
	} {
		s := &session{gateway: l.Gateway, client: sender{address: netip.MustParseAddr(c.from)}}
		told, pause := s.answer(waiting.Context(t), parcel{picture: c.picture})
		if answer, refused := told.(streamProblem); !refused || answer.Problem.Status != c.status || pause != c.pause {
			t.Errorf("%s: %+v, and a pause of %v; want %d and %v", c.what, told, pause, c.status, c.pause)
		}
	}
}

// Whose network is gone holds neither a stream nor a camera for ever.
func TestAClientThatSendsNothingIsLetGo(t *testing.T) {
	l, ended := openLender(t), make(chan bool, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		socket, err := websockets.Accept(w, r)
		if err != nil {
			return // the test sees that its client is refused
		}
		defer func() { _ = socket.CloseNow() }()
		_, more := messages{gateway: l.Gateway, socket: socket, silence: time.Millisecond}.next(context.Background())
		ended <- more
	}))
	defer server.Close()
	l.url = server.URL
	client := l.dial("/")
	_, _, err := client.Read(waiting.Context(t))
	if told := (websocket.CloseError{}); !errors.As(err, &told) || told.Code != websocket.StatusPolicyViolation || !strings.Contains(told.Reason, "connect again") {
		t.Errorf("the client is told %v", err)
	}
	if waiting.For(t, "it is let go", ended) {
		t.Error("a picture came")
	}
}
