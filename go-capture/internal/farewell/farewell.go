// SPDX-License-Identifier: Apache-2.0

// Package farewell ends a WebSocket because the daemon ends, or because what it was about has gone.
package farewell

import (
	"time"

	"github.com/coder/websocket"
)

// answerMost is how long the peer may take to agree; until then what it still sends is read.
const answerMost = time.Second

// Say closes with "going away", so that the peer knows that it may connect again. Then cut must end whoever reads from the socket.
func Say(socket *websocket.Conn, reason string, cut func()) {
	timer := time.AfterFunc(answerMost, cut)
	defer timer.Stop()
	_ = socket.Close(websocket.StatusGoingAway, reason) // closed before: fine too
}
