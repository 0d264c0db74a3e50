// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"visavis/capture/internal/problem"
	"visavis/capture/internal/websockets"
)

// What came of a picture that was pushed: the label of visavis_pushed_pictures_total.
const (
	pushCaptured = "captured"
	pushSkipped  = "skipped"  // camera.detect_fps wants fewer
	pushReplaced = "replaced" // by a newer one
	pushRefused  = "refused"
	pushLeft     = "left" // its client went before the camera took it
)

// lastAnswer is how long a daemon that ends waits for a camera to number the picture that it has.
const lastAnswer = time.Second

// pushAnswer is contracts/schemas/pushed.schema.json.
type pushAnswer struct {
	Index   uint64           `json:"index"`
	Dropped []uint64         `json:"dropped"`
	Frame   *uint64          `json:"frame"`
	Problem *problem.Problem `json:"problem,omitempty"`
}

// ServePush answers GET /api/v1/cameras/{id}/push until the client, the camera or the daemon goes.
func (g *Gateway) ServePush(w http.ResponseWriter, r *http.Request) {
	feed, known := g.feed(r.PathValue("id"))
	if !known {
		noPushCamera(r.PathValue("id")).problem().Write(w, r)
		return
	}
	if !websockets.Wanted(r) {
		plainRequest("each binary message is one picture.").problem().Write(w, r)
		return
	}
	if !g.door.enter() {
		g.turnAway(w, r)
		return
	}
	defer g.door.leave()
	feeder, free := feed.enter(w.Header().Get(problem.RequestIDHeader))
	if !free {
		fedAlready(feed.silence().Seconds()).problem().Write(w, r)
		return
	}
	defer feed.leave(feeder)
	socket, err := websockets.Accept(w, r)
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = socket.CloseNow() }() // mostly closed before
	socket.SetReadLimit(int64(g.settings.Limits.Bytes))
	feed.serve(r.Context(), feeder, messages{g, socket, feed.silence(), g.senderOf(r), func() { feed.count(pushRefused) }})
}

func noPushCamera(id string) Refusal {
	return Refusal{Status: http.StatusNotFound, Title: "There is no such camera to push to",
		Detail: fmt.Sprintf("No camera has the id %q and source = \"push:\"; /api/v1/cameras lists all cameras.", id)}
}

func fedAlready(silenceS float64) Refusal {
	return Refusal{Status: http.StatusConflict, Title: "Another client feeds this camera",
		Detail: fmt.Sprintf("One client at a time: end the other one, or wait until it has sent nothing for %.0f s.", silenceS)}
}

func switchedOff() Refusal {
	return Refusal{Status: http.StatusServiceUnavailable, Title: "The camera is switched off", RetryAfter: pauseMost,
		Detail: "It takes pictures again after ON at its MQTT topic set/enabled: until then one picture in a few seconds is enough."}
}

// serve answers until the reader ends, and leaves nothing running.
func (f *Feed) serve(ctx context.Context, by *feeder, pictures messages) {
	read := func(ctx context.Context) { f.read(ctx, by, pictures) }
	converse(ctx, pictures.socket, read, func(ctx context.Context) string { return f.answer(ctx, by, pictures.socket) })
}

// read takes pictures as fast as the client sends, as long as the list of replaced ones is short enough to be told.
func (f *Feed) read(ctx context.Context, by *feeder, pictures messages) {
	for index := uint64(0); ; index++ {
		picture, ok := pictures.next(ctx)
		if !ok {
			return
		}
		if !by.box.put(ctx, index, picture) {
			f.count(pushLeft)
			return
		}
		signal(f.news)
	}
}

// answerLast waits for what comes of the picture that the camera has taken, which runs on for a while.
func (f *Feed) answerLast(ctx context.Context, by *feeder, socket *websockets.Socket) {
	f.mu.Lock()
	busy := by.busy
	by.busy = true // so that the camera takes no other one, whose answer nobody would read
	f.mu.Unlock()
	if !busy {
		return
	}
	select {
	case a := <-by.answers:
		_ = writeJSON(ctx, socket, a) // the client has gone: nobody is left to tell
	case <-ctx.Done():
	case <-time.After(lastAnswer):
	}
}

// answer tells the client what came of each picture that the camera has taken, and says how to part from it.
func (f *Feed) answer(ctx context.Context, by *feeder, socket *websockets.Socket) (farewell string) {
	for {
		select {
		case a := <-by.answers:
			if !writeJSON(ctx, socket, a) {
				return ""
			}
			f.answered(by)
		case <-ctx.Done():
			return ""
		case <-f.gateway.door.closing:
			f.answerLast(ctx, by, socket)
			return goodbye
		case <-f.closed:
			return "the camera has gone or changed: connect again"
		}
	}
}

func (f *Feed) count(outcome string) { f.ended[outcome].Add(1) }
