// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A server that refuses connections at once must not make the clients take the machine.
const pauseAfterBreak = 10 * time.Millisecond

// closedLoop keeps one request under way on each connection until the span is over, or ctx.
func closedLoop(ctx context.Context, s settings) figures {
	began := time.Now()
	asking, stop := context.WithTimeout(ctx, s.span)
	defer stop()
	longer, cancel := outlast(asking, s.grace)
	defer cancel()
	var probes []outcome
	var probing sync.WaitGroup
	if s.probe != "" {
		begin(&probing, func() { probes = probe(asking, longer, s) })
	}
	seen := make([][]outcome, s.connections)
	var clients sync.WaitGroup
	for i := range seen {
		begin(&clients, func() { seen[i] = oneAfterTheOther(asking, longer, s) })
	}
	clients.Wait()
	probing.Wait()
	return s.summary(began, slices.Concat(seen...), probes)
}

// outlast lives for the grace longer than ctx.
func outlast(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		rest(longer, grace)
		cancel()
	})
	return longer, func() {
		stop()
		cancel()
	}
}

// oneAfterTheOther is one client that asks as long as asking lives, and waits for answers as long as waiting does.
func oneAfterTheOther(asking, waiting context.Context, s settings) (seen []outcome) {
	c := newClient(s, 1)
	defer c.close()
	for asking.Err() == nil {
		one := c.ask(waiting, s.url, time.Now())
		seen = append(seen, one)
		pause := one.retryAfter
		if one.status == 0 {
			pause = pauseAfterBreak
		}
		rest(asking, pause)
	}
	return seen
}

// openLoop begins requests at a rate; each counts from the time when it was due.
func openLoop(ctx context.Context, s settings) figures {
	began := time.Now()
	ctx, cancel := context.WithDeadline(ctx, began.Add(s.span+s.grace))
	defer cancel()
	c := newClient(s, 0)
	defer c.close()
	seen := make([]outcome, int(s.perSecond*s.span.Seconds()))
	var asked sync.WaitGroup
	for i := range seen {
		due := began.Add(time.Duration(float64(i) / s.perSecond * float64(time.Second)))
		rest(ctx, time.Until(due))
		begin(&asked, func() { seen[i] = c.ask(ctx, s.url, due) })
	}
	asked.Wait()
	return s.summary(began, seen, nil)
}

// probe asks the cheap address over and over on a connection of its own.
func probe(asking, waiting context.Context, s settings) (seen []outcome) {
	c := newClient(s, 1)
	defer c.close()
	for asking.Err() == nil {
		seen = append(seen, c.ask(waiting, s.probe, time.Now()))
		rest(asking, s.probePause)
	}
	return seen
}

func rest(ctx context.Context, pause time.Duration) {
	if pause <= 0 {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(pause):
	}
}

// begin runs work beside what comes next; group waits for it.
func begin(group *sync.WaitGroup, work func()) {
	group.Add(1)
	go func() {
		defer group.Done()
		work()
	}()
}
