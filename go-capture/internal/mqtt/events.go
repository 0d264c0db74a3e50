// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	paho "github.com/eclipse/paho.mqtt.golang"

	"visavis/capture/internal/event"
	"visavis/capture/internal/outbox"
)

// TakeEvent implements hub.EventTaker.
func (p *Publisher) TakeEvent(e event.Event) {
	if err := p.keepEvent(EventsTopic(p.settings.Prefix, p.settings.Device), e); err != nil {
		slog.Error("event not kept", "camera", e.Camera, "error", err)
	}
}

// keepEvent keeps a message until the broker has acknowledged it; without an outbox none is sent.
func (l *link) keepEvent(topic string, message any) error {
	if l.events == nil {
		return nil
	}
	payload, err := json.Marshal(message)
	if err != nil {
		return err
	}
	return l.events.Append(topic, payload)
}

// deliverEvents publishes events beside everything else of a connection until stop. What ends it early goes to gone.
func (l *link) deliverEvents(ctx context.Context, client paho.Client, gone chan<- error) (stop func()) {
	if l.events == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := l.events.Deliver(ctx, func(r outbox.Record) outbox.Delivery {
			l.alone.Lock()
			defer l.alone.Unlock()
			return client.Publish(r.Topic, EventsDelivery.QoS, EventsDelivery.Retain, r.Payload)
		})
		if ctx.Err() == nil {
			gone <- fmt.Errorf("deliver events: %w", err)
		}
	}()
	return func() {
		cancel()
		<-ended // soon, whatever the disk does
	}
}
