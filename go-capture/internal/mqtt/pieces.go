// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"net"
	"sync"
	"time"
)

const pieceBytes = 16 << 10

// pieces is a connection that gives each piece of a message time of its own: a picture takes long on a slow line, and still the broker
// is there. It leaves no time to those that follow the first once ctx has ended.
type pieces struct {
	net.Conn
	ctx     context.Context
	writing sync.Mutex // paho pings beside its other messages
}

// Write implements net.Conn.
func (p *pieces) Write(message []byte) (written int, err error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	for err == nil && written < len(message) {
		if written == 0 || p.ctx.Err() == nil {
			_ = p.Conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // what is closed fails below
		}
		var n int
		n, err = p.Conn.Write(message[written:min(written+pieceBytes, len(message))])
		written += n
	}
	_ = p.Conn.SetWriteDeadline(time.Time{})
	return written, err
}

// SetWriteDeadline implements net.Conn. What paho sets is for a whole message.
func (p *pieces) SetWriteDeadline(time.Time) error { return nil }
