// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/time/rate"
)

// network is the socket type: packets in order, with descriptors, and a notice when the peer dies.
const network = "unixpacket"

// acceptPause is waited when the process is out of descriptors, which is told every acceptTold: they come back when a connection ends.
const acceptPause, acceptTold = 100 * time.Millisecond, time.Minute

// ListenUnix binds path for workers, mode 0660. A socket file that nobody listens on any more is replaced. The error wraps
// EADDRINUSE when another daemon lives there.
func ListenUnix(path string) (*net.UnixListener, error) {
	if err := removeStale(path); err != nil {
		return nil, err
	}
	listener, err := net.ListenUnix(network, &net.UnixAddr{Name: path, Net: network})
	if err != nil {
		return nil, fmt.Errorf("listen for workers on %s: %w; the folder must exist and be writable", path, err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("set the mode of %s: %w", path, err), listener.Close())
	}
	return listener, nil
}

func removeStale(path string) error {
	conn, err := net.DialUnix(network, nil, &net.UnixAddr{Name: path, Net: network})
	if err == nil {
		_ = conn.Close() // it was only a question
		return fmt.Errorf("listen for workers on %s: %w; another daemon runs: stop it or choose another socket", path, syscall.EADDRINUSE)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return nil // nothing there, or something that the bind will report
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the stale socket %s: %w", path, err)
	}
	return nil
}

// Serve lets workers in until ctx ends, then closes the listener and every connection, and waits for their goroutines. It returns
// nil when ctx ended it.
func (d *Dispatcher) Serve(ctx context.Context, listener *net.UnixListener) error {
	open := &connections{all: map[*net.UnixConn]bool{}}
	stop := context.AfterFunc(ctx, func() {
		_ = listener.Close() // wakes Accept, which reports
		open.closeAll()
	})
	defer stop()
	defer open.wait.Wait()
	say := rate.Sometimes{Interval: acceptTold}
	for {
		conn, err := listener.AcceptUnix()
		switch {
		case err == nil:
			open.start(conn, d.handle)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			open.closeAll()
			return fmt.Errorf("accept workers: %w", err)
		default:
			say.Do(func() { go slog.Warn("no worker can connect for now", "error", err) }) // who reads the log may hang
			time.Sleep(acceptPause)
		}
	}
}

// connections are those that Serve must end.
type connections struct {
	mu     sync.Mutex
	all    map[*net.UnixConn]bool
	closed bool
	wait   sync.WaitGroup
}

func (c *connections) start(conn *net.UnixConn, handle func(*net.UnixConn)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.Close() // came while the daemon was ending
		return
	}
	c.all[conn] = true
	c.wait.Add(1)
	go func() {
		defer c.wait.Done()
		handle(conn)
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.all, conn)
	}()
}

func (c *connections) closeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for conn := range c.all {
		_ = conn.Close() // its reader sees it
	}
}
