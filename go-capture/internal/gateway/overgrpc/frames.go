// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"errors"
	"net"

	"golang.org/x/net/http2"
	"google.golang.org/grpc/credentials"
)

const (
	frameHead  = 9       // bytes before the content of an HTTP/2 frame
	fairFrame  = 256     // bytes of a DATA frame from which on it takes hardly more in memory
	unfairMost = 1 << 20 // bytes that DATA frames of a connection may lack to that: 4,096 frames of a byte
)

var errUnfair = errors.New("too many small DATA frames: send messages in larger ones")

// frameCounting lets connections end that send their messages in crumbs: grpc keeps each DATA frame by itself, so that a byte takes
// eighty in memory, and the window counts one.
type frameCounting struct {
	credentials.TransportCredentials
}

// ServerHandshake looks at what comes once it is decrypted.
func (c frameCounting) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	connection, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	return &frames{Conn: connection, skip: len(http2.ClientPreface), credit: unfairMost}, info, nil
}

// frames follows the frames that a client sends. Read is for one goroutine.
type frames struct {
	net.Conn
	skip   int    // bytes until the next frame
	head   []byte // of a frame, as far as it has come
	credit int
}

// Read fails once too many frames were small.
func (f *frames) Read(into []byte) (int, error) {
	n, err := f.Conn.Read(into)
	f.follow(into[:n])
	if f.credit < 0 {
		return 0, errUnfair
	}
	return n, err
}

// follow goes no further than to the frame that was one too many: what lies behind it, in the same read, must not make up for it.
func (f *frames) follow(came []byte) {
	for len(came) > 0 && f.credit >= 0 {
		passed := min(f.skip, len(came))
		f.skip, came = f.skip-passed, came[passed:]
		more := min(frameHead-len(f.head), len(came))
		f.head, came = append(f.head, came[:more]...), came[more:]
		if len(f.head) == frameHead {
			f.count()
			f.head = f.head[:0]
		}
	}
}

// count weighs a frame. The end of a call outweighs one small frame: its message may have come in a frame of its own.
func (f *frames) count() {
	f.skip = int(f.head[0])<<16 | int(f.head[1])<<8 | int(f.head[2])
	if http2.FrameType(f.head[3]) != http2.FrameData {
		return
	}
	more := f.skip - fairFrame
	if http2.Flags(f.head[4]).Has(http2.FlagDataEndStream) {
		more = fairFrame
	}
	f.credit = min(f.credit+more, unfairMost)
}
