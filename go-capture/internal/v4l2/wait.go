// SPDX-License-Identifier: Apache-2.0

package v4l2

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// waiter waits for a camera's descriptor to become readable.
//
// It uses poll and not Go's own poller, which registers a descriptor once with epoll: many drivers take a lock in their
// poll function that a signal can interrupt, and Go's runtime sends signals. A registration that was interrupted is lost
// without a word and the camera stays silent; in a slow virtual machine that was one start in twenty. poll registers anew
// at each call.
type waiter struct {
	fd   int
	wake int // eventfd: ends a poll early
}

func newWaiter(fd int) (waiter, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return waiter{}, fmt.Errorf("eventfd: %w", err)
	}
	return waiter{fd: fd, wake: wake}, nil
}

// until calls take each time that the descriptor is readable, until it returns something else than EAGAIN. It fails with
// os.ErrDeadlineExceeded after the limit and with the context's error.
func (w waiter) until(ctx context.Context, limit time.Duration, take func() error) error {
	defer w.interruptAfter(ctx)()
	deadline := time.Now().Add(limit)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := take(); !errors.Is(err, unix.EAGAIN) {
			return err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		if err := w.poll(left); err != nil {
			return err
		}
	}
}

// errorPause keeps a descriptor that reports errors, yet none when it is read, from keeping a processor busy.
const errorPause = time.Millisecond

func (w waiter) poll(limit time.Duration) error {
	fds := []unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}, {Fd: int32(w.wake), Events: unix.POLLIN}}
	_, err := unix.Poll(fds, int(math.Ceil(limit.Seconds()*1000)))
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("poll: %w", err)
	}
	if fds[1].Revents != 0 {
		w.drain()
	}
	if fds[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0 {
		time.Sleep(errorPause)
	}
	return nil
}

// interruptAfter lets the end of ctx interrupt, until the returned function is called. That waits for an interrupt under way, which
// would write to whatever had the number of our descriptor by then.
func (w waiter) interruptAfter(ctx context.Context) (stop func()) {
	done := make(chan struct{})
	unhook := context.AfterFunc(ctx, func() {
		defer close(done)
		w.interrupt()
	})
	return func() {
		if !unhook() {
			<-done
		}
	}
}

// interrupt may come when nobody polls any more: the next poll then ends early once, which costs one look.
func (w waiter) interrupt() {
	_, _ = unix.Write(w.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // fails only when it would overflow: it is readable then
}

func (w waiter) drain() {
	_, _ = unix.Read(w.wake, make([]byte, 8)) // EAGAIN when somebody drained it before
}

func (w waiter) close() error { return unix.Close(w.wake) }
