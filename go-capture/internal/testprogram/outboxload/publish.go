// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"visavis/capture/internal/backoff"
	"visavis/capture/internal/outbox"
)

const (
	disconnectMs = 250
	hang         = 30 * time.Second // a busy machine loses no connection, as each costs a window of duplicates
)

// publish keeps a connection until the returned function is called. Event number killAt of those published here is the last thing
// that the process does; 0 is none.
func (l *load) publish(killAt int) (stop func()) {
	l.untilKill = killAt
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for wait := backoff.New(20*time.Millisecond, 200*time.Millisecond); ; {
			err := l.session(ctx, wait.Reset)
			if ctx.Err() != nil || !wait.Wait(ctx) {
				return
			}
			fmt.Fprintln(os.Stderr, "outboxload: session:", err)
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// session is one connection with a memory store: what it has not delivered, the outbox delivers in the next.
func (l *load) session(ctx context.Context, reached func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	options := paho.NewClientOptions().AddBroker("tcp://" + l.broker).SetClientID("outboxload").SetCleanSession(true).
		SetAutoReconnect(false).SetConnectRetry(false).SetConnectTimeout(hang).SetWriteTimeout(hang).
		SetKeepAlive(hang).SetConnectionLostHandler(func(_ paho.Client, err error) { cancel(err) })
	client := paho.NewClient(options)
	token := client.Connect()
	<-token.Done()
	if err := token.Error(); err != nil {
		return err
	}
	defer client.Disconnect(disconnectMs)
	reached()
	err := l.outbox.Deliver(ctx, func(r outbox.Record) outbox.Delivery {
		defer l.countDown()
		return client.Publish(r.Topic, 1, false, r.Payload)
	})
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// countDown ends this process at the event that publish was told, as a crash does.
func (l *load) countDown() {
	l.untilKill--
	if l.untilKill == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nobody may forbid it
	}
}
