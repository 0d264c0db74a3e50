// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"

	paho "github.com/eclipse/paho.mqtt.golang"

	"visavis/capture/internal/event"
)

const (
	eventsMost         = 10_000 // wait for a broker; then the oldest are lost
	eventsInFlightMost = 100
)

// eventQueue holds events until the broker has acknowledged them. It lives in memory: events end with the process.
type eventQueue struct {
	mu      sync.Mutex
	waiting []event.Event
	first   uint64 // the place of the first waiting event among all there ever were
	lost    uint64
}

// TakeEvent implements hub.EventTaker.
func (p *Publisher) TakeEvent(e event.Event) {
	p.events.add(e)
	p.nudge()
}

// EventsLost counts the events that no broker took before there were too many.
func (p *Publisher) EventsLost() uint64 {
	p.events.mu.Lock()
	defer p.events.mu.Unlock()
	return p.events.lost
}

// EventsWaiting is the number of events that no broker has acknowledged.
func (p *Publisher) EventsWaiting() int {
	p.events.mu.Lock()
	defer p.events.mu.Unlock()
	return len(p.events.waiting)
}

func (q *eventQueue) add(e event.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, e)
	if len(q.waiting) > eventsMost {
		q.waiting = q.waiting[1:]
		q.first++
		if q.lost++; q.lost == 1 {
			slog.Warn("too many events wait for a broker, the oldest are lost", "most", eventsMost)
		}
	}
}

// from is the event at a place, or the next one that still waits.
func (q *eventQueue) from(place uint64) (e event.Event, found uint64, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	place = max(place, q.first)
	if place-q.first >= uint64(len(q.waiting)) {
		return event.Event{}, 0, false
	}
	return q.waiting[place-q.first], place, true
}

// acknowledged forgets the events up to a place.
func (q *eventQueue) acknowledged(place uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if place >= q.first {
		q.waiting = q.waiting[place-q.first+1:]
		q.first = place + 1
	}
}

// eventSender sends the events of one connection. What was on its way when the connection broke still waits, so the next
// connection sends it again, in order and with the same ids.
type eventSender struct {
	queue    *eventQueue
	topic    string
	next     uint64
	inFlight []flight
}

type flight struct {
	place uint64
	token paho.Token
}

// acknowledgement opens when the oldest event on its way has arrived or failed; nil when none is.
func (s *eventSender) acknowledgement() <-chan struct{} {
	if len(s.inFlight) == 0 {
		return nil
	}
	return s.inFlight[0].token.Done()
}

// flush forgets what was acknowledged and sends what is due. Publishing can block, so it holds no lock that the hub needs.
func (s *eventSender) flush(client paho.Client) error {
	for len(s.inFlight) > 0 && s.inFlight[0].token.WaitTimeout(0) {
		if err := s.inFlight[0].token.Error(); err != nil {
			return fmt.Errorf("publish an event: %w", err)
		}
		s.queue.acknowledged(s.inFlight[0].place)
		s.inFlight = s.inFlight[1:]
	}
	for len(s.inFlight) < eventsInFlightMost {
		e, place, due := s.queue.from(s.next)
		if !due {
			return nil
		}
		payload, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encode an event: %w", err)
		}
		token := client.Publish(s.topic, EventsDelivery.QoS, EventsDelivery.Retain, payload)
		s.next, s.inFlight = place+1, append(s.inFlight, flight{place, token})
	}
	return nil
}
