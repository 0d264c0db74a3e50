// SPDX-License-Identifier: Apache-2.0

// Package websockets begins and ends the WebSockets that the daemon serves. One that is refused gets a problem as any other request,
// and one that is closed because the daemon ends is told so, for its client should connect again.
package websockets

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"

	"visavis/capture/internal/problem"
)

// agreeMost is how long a client may take to agree that the socket closes; until then what it still sends is read.
const agreeMost = time.Second

// Wanted tells whether a request asks for a WebSocket at all.
func Wanted(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

var errBody = errors.New("a request for a WebSocket has no body: send what there is to say as messages, once it is open")

// Accept is websocket.Accept, whose own refusals are plain text, and which would take a body for messages.
func Accept(w http.ResponseWriter, r *http.Request, options *websocket.AcceptOptions) (*websocket.Conn, error) {
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close") // net/http would wait for the body
		refuse(w, r, http.StatusBadRequest, errBody)
		return nil, errBody
	}
	held := &refusalHeld{ResponseWriter: w}
	socket, err := websocket.Accept(held, r, options)
	if held.code != 0 {
		refuse(w, r, held.code, err)
	}
	return socket, err
}

func refuse(w http.ResponseWriter, r *http.Request, code int, why error) {
	problem.Problem{Status: code, Title: "This cannot become a WebSocket", Detail: why.Error()}.Write(w, r)
}

// refusalHeld keeps a refusal back and lets everything else through.
type refusalHeld struct {
	http.ResponseWriter
	code int // of the refusal, 0 = there is none
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

// Unwrap lets the connection be taken over.
func (h *refusalHeld) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// GoAway closes a socket because the daemon ends, or because what it was about has gone. cut must end whoever reads from it.
func GoAway(socket *websocket.Conn, reason string, cut func()) {
	timer := time.AfterFunc(agreeMost, cut)
	defer timer.Stop()
	_ = socket.Close(websocket.StatusGoingAway, reason) // closed before: fine too
}
