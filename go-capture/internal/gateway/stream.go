// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/problem"
	"visavis/capture/internal/websockets"
)

const (
	streamIdle  = 60 * time.Second // without a whole message the stream is closed
	streamWrite = 5 * time.Second  // a client that cannot take an answer in this time is closed
	pauseMost   = time.Second      // after a refusal, before the next picture is taken
)

// session is one WebSocket. The reader keeps the newest picture, and run answers one at a time: a picture that a newer one
// replaced is named in the next answer.
type session struct {
	gateway *Gateway
	client  sender
	socket  *websockets.Socket
	box     *mailbox

	requestID string // of the request that opened it
}

// ServeStream answers GET /api/v1/detect/stream until the client or the daemon goes.
func (g *Gateway) ServeStream(w http.ResponseWriter, r *http.Request) {
	client := g.senderOf(r)
	if err := g.takeStream(client, r); err != nil {
		refusalOf(err).problem().Write(w, r)
		return
	}
	defer g.sockets.GiveBack(client.account)
	if !g.door.enter() {
		g.turnAway(w, r)
		return
	}
	defer g.door.leave()
	socket, err := websockets.Accept(w, r)
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = socket.CloseNow() }() // mostly closed before
	socket.SetReadLimit(int64(g.settings.Limits.Bytes))
	defer g.tally.stream()()
	s := &session{gateway: g, client: client, socket: socket, requestID: w.Header().Get(problem.RequestIDHeader),
		box: newMailbox(func() { g.tally.end(reasonReplaced) })}
	s.run(r.Context())
}

// takeStream takes one of the streams, for a WebSocket. A page cannot read why a browser got none: it asks again plainly, and is told the
// same unless there would be a stream now.
func (g *Gateway) takeStream(client sender, r *http.Request) error {
	if err := g.openStream(client); err != nil {
		return err
	}
	if !websockets.Wanted(r) {
		g.sockets.GiveBack(client.account)
		return plainRequest("POST /api/v1/detect takes single pictures.")
	}
	return nil
}

func plainRequest(instead string) Refusal {
	return Refusal{Status: http.StatusUpgradeRequired, Title: "This is a WebSocket", Detail: "Open it with a WebSocket client; " + instead}
}

// goodbye is what clients are told when the daemon ends.
const goodbye = "the device stops: connect again"

// converse reads and answers at the same time until either ends, closes the socket, and leaves nothing running. What answer ends with
// is told to the client as the reason to connect again, "" is not.
func converse(ctx context.Context, socket *websockets.Socket, read func(context.Context), answer func(context.Context) (farewell string)) {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	reading.Add(1)
	go func() {
		defer reading.Done()
		defer cancel()
		read(ctx)
	}()
	if farewell := answer(ctx); farewell != "" {
		websockets.GoAway(socket, farewell)
	}
	cancel()
	_ = socket.CloseNow() // ends the reader; mostly closed before
	reading.Wait()
}

// run answers until the reader ends, and leaves nothing running.
func (s *session) run(ctx context.Context) {
	converse(ctx, s.socket, s.read, func(ctx context.Context) string {
		for s.answerNext(ctx) {
			continue
		}
		if s.gateway.door.isClosing() {
			return goodbye
		}
		return ""
	})
	if s.box.close() {
		s.gateway.tally.end(s.gateway.partingReason())
	}
}

// read takes pictures as fast as the client sends, as long as the list of replaced ones is short enough to be told.
func (s *session) read(ctx context.Context) {
	pictures := messages{s.gateway, s.socket, streamIdle, s.client, s.tooLong}
	for index := uint64(0); ; index++ {
		picture, ok := pictures.next(ctx)
		if !ok {
			return
		}
		s.gateway.tally.begin()
		if !s.box.put(ctx, index, picture) {
			s.gateway.tally.end(s.gateway.partingReason())
			return
		}
	}
}

// partingReason is why a picture got no answer whose stream has ended.
func (g *Gateway) partingReason() string {
	if g.door.isClosing() {
		return reasonStopping
	}
	return reasonCancelled
}

// tooLong counts a picture that ended the stream before it was here.
func (s *session) tooLong() {
	s.gateway.tally.begin()
	s.gateway.tally.end(reasonInvalid)
}

// messages reads pictures from a WebSocket.
type messages struct {
	gateway *Gateway
	socket  *websockets.Socket
	silence time.Duration // without a whole message for so long the socket is closed
	client  sender
	tooLong func() // is told of a picture with too many bytes
}

// next reads one message. It gives no picture when other clients' bodies take all the memory. What there can be no answer to, the code
// that closes the socket is for.
func (m messages) next(ctx context.Context) (*body, bool) {
	quiet := time.AfterFunc(m.silence, func() {
		websockets.Close(m.socket, websocket.StatusPolicyViolation, fmt.Sprintf("no whole picture came for %v: connect again when there is one", m.silence))
	})
	defer quiet.Stop()
	kind, message, err := m.socket.Reader(ctx)
	if err != nil {
		return nil, false
	}
	if kind != websocket.MessageBinary {
		websockets.Close(m.socket, websocket.StatusUnsupportedData, "send each picture as one binary message")
		return nil, false
	}
	picture := &body{share: m.gateway.bodies.of(m.client)}
	switch err := picture.read(message, m.gateway.settings.Limits.Bytes); err {
	case nil:
		picture.arrivedNs = frame.MonotonicNs()
		return picture, true
	case errNoRoom:
		picture.release()
		return nil, drain(message)
	case errTooLong:
		picture.release()
		m.tooLong()
		websockets.Close(m.socket, websocket.StatusMessageTooBig, refusalOf(TooManyBytes(m.gateway.settings.Limits.Bytes)).Detail)
		return nil, false
	default:
		picture.release()
		return nil, false
	}
}

// answerNext answers the newest picture. It returns false when the stream is over.
func (s *session) answerNext(ctx context.Context) bool {
	next, ok := s.box.take(ctx, s.gateway.door.closing)
	if !ok {
		return false
	}
	message, pause := s.answer(ctx, next)
	next.picture.release()
	if !s.write(ctx, message) {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-s.gateway.door.closing:
		return false
	case <-time.After(pause):
		return true
	}
}

// streamProblem is the answer to a picture that got none.
type streamProblem struct {
	Frame         uint64          `json:"frame"`
	DroppedFrames []uint64        `json:"dropped_frames"`
	Problem       problem.Problem `json:"problem"`
}

// answer gives the message to send, and how long to wait before the next picture is taken.
func (s *session) answer(ctx context.Context, next parcel) (message any, pause time.Duration) {
	found, err := s.detect(ctx, next)
	if err == nil {
		s.gateway.tally.end(outcomeAnswered)
		return found, 0
	}
	refused := s.gateway.tally.refused(err)
	told := refused.problem()
	told.RequestID = s.requestID
	return streamProblem{next.index, next.dropped, told}, min(refused.RetryAfter, pauseMost)
}

func (s *session) detect(ctx context.Context, next parcel) (answer, error) {
	g := s.gateway
	if err := g.admit(s.client); err != nil {
		return answer{}, err
	}
	if next.picture == nil {
		return answer{}, busy(pauseMost)
	}
	contentType := typeOf(next.picture.bytes)
	if contentType == "" {
		return answer{}, notAPicture("The message is no JPEG, PNG or WebP.")
	}
	picture, header, err := Inspect(next.picture.bytes, contentType, g.settings.Limits)
	if err != nil {
		return answer{}, err
	}
	asked := request{lane: g.input, client: s.client, body: picture, header: header, arrivedNs: next.picture.arrivedNs}
	done, err := g.detect(ctx, asked)
	if err != nil {
		return answer{}, err
	}
	defer done.release()
	told := g.answerOf(asked, done, done.faces)
	told.Frame, told.DroppedFrames, told.Dropped.Superseded = next.index, &next.dropped, uint64(len(next.dropped))
	return told, nil
}

func (s *session) write(ctx context.Context, message any) bool {
	return writeJSON(ctx, s.socket, message)
}

// writeJSON sends one text message; false when the client does not take it in time.
func writeJSON(ctx context.Context, socket *websockets.Socket, message any) bool {
	text, err := json.Marshal(message)
	if err != nil {
		return false // numbers and strings: it cannot fail
	}
	ctx, cancel := context.WithTimeout(ctx, streamWrite)
	defer cancel()
	return socket.Write(ctx, websocket.MessageText, text) == nil
}
