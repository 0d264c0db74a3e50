// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
)

// At the end of the daemon a large message has the time of one piece, however fast the pieces go.
func TestTheEndWaitsForNoLargeMessageOnASlowLine(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	go func() {
		for {
			if _, err := (&slow{theirs, 50_000}).Read(make([]byte, pieceBytes)); err != nil {
				return
			}
		}
	}()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	const all = 300_000
	written, err := (&pieces{Conn: ours, ctx: ctx}).Write(make([]byte, all))
	if !errors.Is(err, os.ErrDeadlineExceeded) || written == 0 || written == all {
		t.Errorf("%d bytes, %v", written, err)
	}
}
