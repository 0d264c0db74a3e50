// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// A driver may hang when its device is opened, read or closed, and nothing ends a thread that hangs in there. So all of that which has
// no deadline of its own happens in goroutines that can be left behind; a reload, and the other cameras, wait for none.

const (
	// openLimit bounds the opening of a camera; OpenCV's own bound of 30 s would keep a reload waiting.
	openLimit = 5 * time.Second
	// hangingMost bounds the threads that hang for ever because of one camera: a driver that eats one at each try must not eat all.
	hangingMost = 4
)

var (
	errNotOpened = errors.New("it did not open in time")
	errNotClosed = errors.New("its driver hangs while it is closed")
)

// hanging counts the goroutines that were left behind, by the address of their camera.
var hanging = census{of: map[string]int{}}

type census struct {
	mu sync.Mutex
	of map[string]int
}

func (c *census) add(camera string, more int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[camera] += more; c.of[camera] == 0 {
		delete(c.of, camera)
	}
}

func (c *census) count(camera string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[camera]
}

// leave gives up waiting for a result. When it comes after all, then hears of it.
func leave[T any](camera string, result <-chan T, then func(T)) {
	hanging.add(camera, 1)
	go func() {
		defer hanging.add(camera, -1)
		then(<-result)
	}()
}

// mayHang fails when so many hang because of the camera that no more may.
func mayHang(camera string) error {
	if n := hanging.count(camera); n >= hangingMost {
		return fmt.Errorf("%d calls hang in the camera's driver: look at its cable, and restart visavis if it stays so", n)
	}
	return nil
}

// opened is what came of opening.
type opened[T io.Closer] struct {
	made T
	err  error
}

// openWithin opens at most until the limit or the end of ctx. What opens later is closed again.
func openWithin[T io.Closer](ctx context.Context, camera string, limit time.Duration, open func() (T, error)) (T, error) {
	var none T
	if err := mayHang(camera); err != nil {
		return none, err
	}
	result := make(chan opened[T], 1)
	go func() {
		made, err := open()
		result <- opened[T]{made, err}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errNotOpened)
	defer cancel()
	select {
	case now := <-result:
		return now.made, now.err
	case <-ctx.Done():
		leave(camera, result, func(late opened[T]) {
			if late.err == nil {
				_ = late.made.Close() // nobody is left to hear of it
			}
		})
		return none, context.Cause(ctx)
	}
}

// closeWithin waits for the end of it at most until the limit.
func closeWithin(camera string, limit time.Duration, device io.Closer) error {
	result := make(chan error, 1)
	go func() { result <- device.Close() }()
	select {
	case err := <-result:
		return err
	case <-time.After(limit):
		leave(camera, result, func(error) {})
		return errNotClosed
	}
}
