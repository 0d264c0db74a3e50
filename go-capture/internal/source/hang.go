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
	errHangs     = errors.New("calls hang in the camera's driver")
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
		return callsHang(n)
	}
	return nil
}

func callsHang(n int) error {
	return fmt.Errorf("%d %w: look at its cable, and restart visavis if it stays so", n, errHangs)
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
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errNotOpened)
	defer cancel()
	now, err := within(ctx, camera, func() opened[T] {
		made, err := open()
		return opened[T]{made, err}
	}, func(late opened[T]) {
		if late.err == nil {
			_ = late.made.Close() // nobody is left to hear of it
		}
	})
	if err != nil {
		return none, err
	}
	return now.made, now.err
}

// within does what may hang, at most until the end of ctx. What comes of it after that is for late.
func within[T any](ctx context.Context, camera string, do func() T, late func(T)) (T, error) {
	result := make(chan T, 1)
	go func() { result <- do() }()
	select {
	case now := <-result:
		return now, nil
	case <-ctx.Done():
		leave(camera, result, late)
		var none T
		return none, context.Cause(ctx)
	}
}

// closeWithin waits for the end of it at most until the limit.
func closeWithin(camera string, limit time.Duration, device io.Closer) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), limit, errNotClosed)
	defer cancel()
	closed, err := within(ctx, camera, device.Close, func(error) {})
	return errors.Join(closed, err)
}
