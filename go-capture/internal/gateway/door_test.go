// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"visavis/capture/internal/openinference"
	"visavis/capture/internal/quota"
	"visavis/capture/internal/waiting"
)

func TestADoorThatClosesLetsThoseInsideFinish(t *testing.T) {
	d := newDoor()
	for range 2 {
		if !d.enter() {
			t.Fatal("an open door lets nobody in")
		}
	}
	d.close()
	d.close()
	if d.enter() || !d.isClosing() {
		t.Fatal("a closed door lets somebody in")
	}
	for inside := 2; inside > 0; inside-- {
		select {
		case <-d.empty:
			t.Fatalf("it is empty with %d inside", inside)
		default:
		}
		d.leave()
	}
	<-d.empty
}

func TestAnEmptyDoorIsEmptyAtOnceAndDrainingDoesNotWaitForEver(t *testing.T) {
	g := &Gateway{door: newDoor()}
	g.Drain(time.Hour)
	busy := &Gateway{door: newDoor()}
	busy.door.enter()
	busy.Drain(time.Millisecond)
	if !busy.Stopping() || busy.door.enter() {
		t.Fatal("after draining somebody is let in")
	}
}

// inside is how many clients are being served.
func (l *lender) inside() int {
	l.door.mu.Lock()
	defer l.door.mu.Unlock()
	return l.door.inside
}

// stays are clients whose pictures get no answer until ctx ends.
func (l *lender) stays(ctx context.Context) {
	l.t.Helper()
	picture := drawing(l.t, 64, 48)
	l.dial("/stream")
	post, err := http.NewRequestWithContext(ctx, "POST", l.url+"/detect", strings.NewReader(string(picture)))
	if err != nil {
		l.t.Fatal(err)
	}
	post.Header.Set("Content-Type", jpegType)
	go func() {
		if answer, err := http.DefaultClient.Do(post); err == nil {
			_ = answer.Body.Close() // there is none to wait for
		}
	}()
	go func() {
		_, _, _ = l.Infer(ctx, Caller{}, func() (Call, error) { // they go unanswered
			return Call{Model: "centerface", Request: openinference.Request{Encoded: picture}}, nil
		})
	}()
}

// text is the answer's, or the error.
func text(answer *http.Response, err error) string {
	if answer == nil {
		return err.Error()
	}
	defer func() { _ = answer.Body.Close() }() // what it says is what counts
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return err.Error()
	}
	return string(said)
}

func TestADeviceThatStopsWaitsForWhoIsInsideAndTurnsAwayWhoComes(t *testing.T) {
	l := openLender(t)
	l.sockets = quota.New(4)
	ctx, leave := context.WithCancel(waiting.Context(t))
	defer leave()
	l.stays(ctx)
	waiting.Until(t, "three are inside", func() bool { return l.inside() == 3 })
	drained := make(chan struct{})
	go func() { l.Drain(time.Hour); close(drained) }()
	waiting.For(t, "the door closes", l.Closing())
	for who, come := range map[string]func() string{
		"a stream": func() string {
			_, answer, err := websocket.Dial(waiting.Context(t), strings.Replace(l.url, "http", "ws", 1)+"/stream", nil)
			if err == nil {
				return "to come in"
			}
			return text(answer, err)
		},
		"a picture": func() string { return text(http.Post(l.url+"/detect", jpegType, strings.NewReader("x"))) },
		"a call":    func() string { return fmt.Sprint(l.call(Caller{})) },
		"a stream of calls": func() string {
			_, err := l.OpenStream(Caller{})
			return fmt.Sprint(err)
		},
	} {
		if told := come(); !strings.Contains(told, Stopping().Title) {
			t.Errorf("%s is told %q", who, told)
		}
	}
	select {
	case <-drained:
		t.Error("nobody is waited for")
	default:
	}
	leave()
	waiting.For(t, "the last has gone", drained)
}
