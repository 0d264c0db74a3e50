// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/coder/websocket"
	"pgregory.net/rapid"

	"visavis/capture/internal/waiting"
	"visavis/capture/internal/websockets"
)

func TestABodyIsReadWholeUpToTheLimitAndCountsWhileItIsHeld(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		const most, room = 300_000, 500_000
		sent := bytes.Repeat([]byte("visavis "), rapid.IntRange(0, 45_000).Draw(r, "words"))
		sent = sent[:min(len(sent), rapid.IntRange(0, most+20_000).Draw(r, "bytes"))]
		bodies := newBudget(room)
		b := &body{share: bodies.of(sender{})}
		err := b.read(iotest.HalfReader(bytes.NewReader(sent)), most)
		if tooLong := len(sent) > most; errors.Is(err, errTooLong) != tooLong || (err != nil) != tooLong {
			r.Fatalf("%d bytes: %v", len(sent), err)
		}
		if err == nil && !bytes.Equal(b.bytes, sent) {
			r.Fatalf("%d bytes became %d", len(sent), len(b.bytes))
		}
		if b.held < int64(len(b.bytes)) || bodies.free != room-b.held {
			r.Fatalf("%d bytes count as %d", len(b.bytes), b.held)
		}
		b.release()
		b.release()
		if bodies.free != room {
			r.Fatal("not everything is back")
		}
	})
}

func TestABodyWithoutRoomIsNotRead(t *testing.T) {
	bodies := newBudget(100_000)
	first, second := &body{share: bodies.of(sender{})}, &body{share: bodies.of(sender{account: "another"})}
	if err := first.read(strings.NewReader("a picture"), 1000); err != nil {
		t.Fatal(err)
	}
	endless := io.LimitReader(neverEnding{}, 1<<20)
	if err := second.read(endless, 1<<20); !errors.Is(err, errNoRoom) {
		t.Fatalf("read into no room: %v", err)
	}
	second.release()
	first.release()
	if bodies.free != 100_000 {
		t.Fatal("not everything is back")
	}
}

// What unwrapping takes beside the body is counted nowhere.
func TestAPictureInJSONTakesNoMoreMemoryThanItsText(t *testing.T) {
	const most = 4 << 20
	picture := append([]byte("\xff\xd8\xff"), bytes.Repeat([]byte("\xff"), most/2)...) // slashes, in base64
	text := base64.StdEncoding.EncodeToString(picture)
	for name, image := range map[string]string{"as it is": text, "escaped": strings.ReplaceAll(text, "/", `\/`)} {
		b := &body{share: newBudget(4 * most).of(sender{})}
		if err := b.read(strings.NewReader(`{"score": 0.5, "image": "`+image+`"}`), 2*most); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		counted := b.held
		runtime.ReadMemStats(&before)
		err := b.unwrap()
		runtime.ReadMemStats(&after)
		if err != nil || b.contentType != jpegType || b.score != 0.5 || !bytes.Equal(b.bytes, picture) {
			t.Errorf("%s: %v, %s, %v, %d bytes", name, err, b.contentType, b.score, len(b.bytes))
		}
		if took := int64(after.TotalAlloc - before.TotalAlloc); took > b.held-counted+1<<18 {
			t.Errorf("%s: %d bytes more were taken, and %d counted", name, took, b.held-counted)
		}
		b.release()
	}
}

func TestABodyOfWhichNothingComesHoldsNextToNothing(t *testing.T) {
	bodies := newBudget(1 << 20)
	b := &body{share: bodies.of(sender{})}
	if err := b.read(iotest.ErrReader(io.ErrNoProgress), 1<<20); !errors.Is(err, io.ErrNoProgress) {
		t.Fatal(err)
	}
	if b.held > 4<<10 {
		t.Errorf("%d bytes are held", b.held)
	}
	b.release()
}

type neverEnding struct{}

func (neverEnding) Read(p []byte) (int, error) { return len(p), nil }

// slow is a connection whose client sends nothing; it remembers the times that reads and writes were bounded with.
type slow struct {
	http.ResponseWriter
	bounds, writes []time.Time
}

func (s *slow) SetReadDeadline(at time.Time) error {
	s.bounds = append(s.bounds, at)
	return nil
}

func (s *slow) SetWriteDeadline(at time.Time) error {
	s.writes = append(s.writes, at)
	return nil
}

func (s *slow) Read([]byte) (int, error) { return 0, os.ErrDeadlineExceeded }

// Without an end of the bound, whoever waits for the answer for longer would be taken for gone.
func TestTheTimeForABodyIsBoundedAndThatForItsAnswerIsNot(t *testing.T) {
	g := &Gateway{bodies: newBudget(100_000)}
	var refused Refusal
	_, err := g.takeBody(&slow{}, sender{}, &slow{}, 1000)
	if !errors.As(err, &refused) || refused.Status != http.StatusRequestTimeout {
		t.Errorf("whoever sends nothing is told %v", err)
	}
	if g.bodies.free != 100_000 {
		t.Errorf("of what was too slow %d bytes are held", 100_000-g.bodies.free)
	}
	connection, began := &slow{}, time.Now()
	b, err := g.takeBody(connection, sender{}, strings.NewReader("a picture"), 1000)
	if err != nil {
		t.Fatal(err)
	}
	defer b.release()
	at, latest := connection.bounds, time.Now().Add(BodyTimeout)
	if len(at) != 2 || at[0].Before(began) || at[0].After(latest) || !at[1].IsZero() {
		t.Errorf("reads were bounded with %v", at)
	}
}

func TestTheTimeThatAClientMayTakeForItsAnswerIsBounded(t *testing.T) {
	g := &Gateway{tally: newTally(), door: newDoor()}
	for what, err := range map[string]error{"faces": nil, "a refusal": errNoRoom} {
		connection, began := &slow{ResponseWriter: httptest.NewRecorder()}, time.Now()
		g.serve(connection, httptest.NewRequest("POST", "/", nil), func(http.ResponseWriter, *http.Request) (reply, error) {
			return reply{contentType: jsonType, body: []byte("{}")}, err
		})
		at, latest := connection.writes, time.Now().Add(answerTimeout)
		if len(at) != 1 || at[0].Before(began) || at[0].After(latest) {
			t.Errorf("for %s writes were bounded with %v", what, at)
		}
	}
}

func TestAStreamWhoseClientTakesNoAnswersIsLetGo(t *testing.T) {
	t.Parallel() // it takes streamWrite
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		socket, err := websockets.Accept(w, r)
		if err != nil {
			return // the test sees that its client is refused
		}
		defer func() { _ = socket.CloseNow() }()
		for writeJSON(context.Background(), socket, strings.Repeat("a face ", 1<<17)) {
			continue
		}
	}))
	defer server.Close()
	socket, _, err := websocket.Dial(waiting.Context(t), strings.Replace(server.URL, "http", "ws", 1), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.CloseNow() }()
	waiting.For(t, "it is let go", ended)
}
