// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"visavis/capture/internal/outbox"
)

const (
	underWayMost = 1000 // more than an outbox hands out at once
	settledMost  = 10 * time.Second
)

// underWay is an event that was said and not acknowledged.
type underWay struct{ done chan struct{} }

func (u underWay) Done() <-chan struct{} { return u.done }
func (underWay) Error() error            { return nil }

// drain says the number of each event that waits, in order. Each line "ok" acknowledges one; "done" is said when none waits any more.
func (l *load) drain(lines *bufio.Scanner) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	said, ended := make(chan underWay, underWayMost), make(chan error, 1)
	go func() {
		ended <- l.outbox.Deliver(ctx, func(r outbox.Record) outbox.Delivery {
			one := underWay{make(chan struct{})}
			said <- one
			l.say(r)
			return one
		})
	}()
	for lines.Scan() && lines.Text() == "ok" {
		close((<-said).done)
	}
	if lines.Text() != "done" {
		return io.ErrUnexpectedEOF
	}
	err := l.settled()
	cancel()
	if ended := <-ended; !errors.Is(ended, context.Canceled) {
		err = errors.Join(err, ended)
	}
	return errors.Join(err, l.outbox.Sync(context.Background())) // what was acknowledged, too
}

// settled waits until all is acknowledged.
func (l *load) settled() error {
	for until := time.Now().Add(settledMost); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if l.outbox.Stats().Waiting == 0 {
			return nil
		}
	}
	return fmt.Errorf("%d events still wait", l.outbox.Stats().Waiting)
}

func (l *load) say(r outbox.Record) {
	var e struct {
		N int `json:"n"`
	}
	if err := json.Unmarshal(r.Payload, &e); err != nil {
		_ = l.answers.Encode(map[string]string{"error": err.Error()}) // whoever reads finds it among the events
		return
	}
	_ = l.answers.Encode(map[string]int{"delivered": e.N}) // nobody is left to tell when the line is gone
}
