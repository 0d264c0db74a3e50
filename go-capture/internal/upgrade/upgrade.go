// SPDX-License-Identifier: Apache-2.0

// Package upgrade turns requests into WebSockets, or refuses them with a problem as any other request.
package upgrade

import (
	"net/http"
	"strings"

	"github.com/coder/websocket"

	"visavis/capture/internal/problem"
)

// Wanted tells whether a request asks for a WebSocket at all.
func Wanted(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// Accept is websocket.Accept, whose own refusals are plain text.
func Accept(w http.ResponseWriter, r *http.Request, options *websocket.AcceptOptions) (*websocket.Conn, error) {
	held := &refusalHeld{ResponseWriter: w}
	socket, err := websocket.Accept(held, r, options)
	if held.code != 0 {
		problem.Problem{Status: held.code, Title: "This cannot become a WebSocket", Detail: err.Error()}.Write(w, r)
	}
	return socket, err
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
