// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"visavis/capture/internal/ports"
)

// line leads to a broker. It can lose what is sent there while it stays open, as when a router on the way was started anew.
type line struct {
	address string
	to      string

	mu    sync.Mutex
	loses bool
	down  bool
	gone  strings.Builder
	open  []net.Conn
}

func startLine(t *testing.T, broker string) *line {
	t.Helper()
	l := layLine(t, broker)
	l.start(t)
	return l
}

// layLine is one that does not answer before its start.
func layLine(t *testing.T, broker string) *line {
	t.Helper()
	return &line{address: ports.Free(t).String(), to: broker}
}

func (l *line) start(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", l.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close(); l.let(false) })
	go func() {
		for {
			caller, err := listener.Accept()
			if err != nil {
				return
			}
			l.lead(caller)
		}
	}()
}

func (l *line) lead(caller net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		_ = caller.Close() // it comes again
		return
	}
	broker, err := net.Dial("tcp", l.to)
	if err != nil {
		_ = caller.Close()
		return
	}
	l.open = append(l.open, caller, broker)
	go pass(broker, caller)
	go pass(caller, &lossy{broker, l})
}

func pass(from net.Conn, to io.WriteCloser) {
	defer to.Close()
	_, _ = io.Copy(to, from) // until one of the ends is closed
}

// lossy is the way to the broker.
type lossy struct {
	net.Conn
	line *line
}

// Write implements io.Writer.
func (l *lossy) Write(sent []byte) (int, error) {
	l.line.mu.Lock()
	loses := l.line.loses
	if loses {
		l.line.gone.Write(sent)
	}
	l.line.mu.Unlock()
	if loses {
		return len(sent), nil
	}
	return l.Conn.Write(sent)
}

func (l *line) lose(all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loses = all
}

// lost is all that did not arrive.
func (l *line) lost() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gone.String()
}

// let says whether callers get through from now on, and ends all connections.
func (l *line) let(through bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = !through
	for _, end := range l.open {
		_ = end.Close() // it may be closed already
	}
	l.open = nil
}
