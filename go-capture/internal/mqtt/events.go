// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"visavis/capture/internal/event"
	durable "visavis/capture/internal/outbox"
)

// EventsFrom sets the outbox that keeps events until a broker has acknowledged them. Call it before Run; the outbox stays the
// caller's to close. Without one no events are sent.
func (p *Publisher) EventsFrom(events *durable.Outbox) { p.events = events }

// TakeEvent implements hub.EventTaker.
func (p *Publisher) TakeEvent(e event.Event) {
	if p.events == nil {
		return
	}
	payload, err := json.Marshal(e)
	if err == nil {
		err = p.events.Append(EventsTopic(p.settings.Prefix, p.settings.Device), payload)
	}
	if err != nil {
		slog.Error("event not kept", "camera", e.Camera, "error", err)
	}
}

// eventStats are the outbox's figures, all 0 without one.
func (p *Publisher) eventStats() durable.Stats {
	if p.events == nil {
		return durable.Stats{}
	}
	return p.events.Stats()
}

// EventsWaiting is the number of events that no broker has acknowledged.
func (p *Publisher) EventsWaiting() uint64 { return p.eventStats().Waiting }

// EventsLost counts the events that were given up: too many or too old, no disk, or damage on it.
func (p *Publisher) EventsLost() uint64 {
	s := p.eventStats()
	return s.Dropped + s.Corrupt
}

// waitForEvents gives the broker a moment to take the events of the end; what it does not take waits on disk for the next start.
func (p *Publisher) waitForEvents() {
	const look = 5 * time.Millisecond
	for until := time.Now().Add(farewellMost); p.EventsWaiting() > 0 && time.Now().Before(until); {
		time.Sleep(look)
	}
}

// deliverEvents publishes events beside everything else of a connection until stop. What ends it early goes to gone.
func (p *Publisher) deliverEvents(ctx context.Context, client paho.Client, gone chan<- error) (stop func()) {
	if p.events == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := p.events.Deliver(ctx, func(r durable.Record) durable.Delivery {
			return client.Publish(r.Topic, EventsDelivery.QoS, EventsDelivery.Retain, r.Payload)
		})
		if ctx.Err() == nil {
			gone <- fmt.Errorf("deliver events: %w", err)
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
