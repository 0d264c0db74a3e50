// SPDX-License-Identifier: Apache-2.0

// Package websockets begins and ends the WebSockets that the daemon serves. One that is refused gets a problem as any other request,
// and one that is closed because the daemon ends is told so, for its client should connect again.
package websockets

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"visavis/capture/internal/problem"
)

// agreeMost is how long a client may take to agree that the socket closes; until then what it still sends is read.
const agreeMost = time.Second

// Socket is a WebSocket whose connection can be cut.
type Socket struct {
	*websocket.Conn
	line net.Conn
}

// Wanted tells whether a request asks for a WebSocket at all.
func Wanted(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

var errBody = errors.New("a request for a WebSocket has no body: send what there is to say as messages, once it is open")

// Accept is websocket.Accept, whose own refusals are plain text, and which would take a body for messages. Whose page may have a
// WebSocket is decided before, as for any request: the library compares Origin with a Host that a proxy may have changed.
func Accept(w http.ResponseWriter, r *http.Request) (*Socket, error) {
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close") // net/http would wait for the body
		refuse(w, r, http.StatusBadRequest, errBody)
		return nil, errBody
	}
	held := &refusalHeld{ResponseWriter: w}
	socket, err := websocket.Accept(held, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if held.code != 0 {
		refuse(w, r, held.code, err)
	}
	if err != nil {
		return nil, err
	}
	return &Socket{Conn: socket, line: held.line}, nil
}

func refuse(w http.ResponseWriter, r *http.Request, code int, why error) {
	problem.Problem{Status: code, Title: "This cannot become a WebSocket", Detail: why.Error()}.Write(w, r)
}

// refusalHeld keeps a refusal back and lets everything else through.
type refusalHeld struct {
	http.ResponseWriter
	code int      // of the refusal, 0 = there is none
	line net.Conn // once it is taken over
}

func (h *refusalHeld) WriteHeader(code int) {
	if code < http.StatusBadRequest {
		h.ResponseWriter.WriteHeader(code)
		return
	}
	h.code = code
}

func (h *refusalHeld) Write(text []byte) (int, error) {
	if h.code != 0 {
		return len(text), nil
	}
	return h.ResponseWriter.Write(text)
}

// Hijack remembers the connection that is taken over.
func (h *refusalHeld) Hijack() (line net.Conn, ahead *bufio.ReadWriter, err error) {
	line, ahead, err = http.NewResponseController(h.ResponseWriter).Hijack()
	h.line = line
	return line, ahead, err
}

// GoAway closes a socket because the daemon ends, or because what it was about has gone.
func GoAway(socket *Socket, reason string) { Close(socket, websocket.StatusGoingAway, reason) }

// Close ends whoever reads from the socket, too. The library would wait for a silent client for seconds, and for one that is silent in
// the middle of a message for ever.
func Close(socket *Socket, why websocket.StatusCode, reason string) {
	timer := time.AfterFunc(agreeMost, func() { _ = socket.line.SetDeadline(time.Unix(1, 0)) }) // closed before: fine too
	defer timer.Stop()
	_ = socket.Conn.Close(why, reason) // fails where the client has gone or was cut: it is closed then, too
}
