// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"encoding/json"
	"fmt"
	"syscall"
	"testing"

	"visavis/capture/internal/event"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/outbox"
	"visavis/capture/internal/waiting"
	"visavis/capture/internal/zone"
)

const topicEvents = "visavis/porch/events"

func happening(n int) event.Event {
	return event.Event{Schema: 1, Type: zone.Appeared, ID: fmt.Sprintf("%026d", n), Camera: "door", Track: uint64(n)}
}

// withEvents gives the publisher an outbox in a folder of its own.
func withEvents(t *testing.T, p *Publisher) *Publisher {
	t.Helper()
	events, err := outbox.Open(outbox.Settings{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := events.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	p.EventsFrom(events)
	return p
}

// order checks that the ids rise from 0 to most-1 once repetitions are left out, and returns how many there were.
func order(t *testing.T, payloads []string, most int) (repeated int) {
	t.Helper()
	next := 0
	for _, payload := range payloads {
		var e event.Event
		if err := json.Unmarshal([]byte(payload), &e); err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		switch n := int(e.Track); {
		case n == next:
			next++
		case n < next:
			repeated++
		default:
			t.Fatalf("event %d where %d is due", n, next)
		}
	}
	if next != most {
		t.Fatalf("%d events, want %d", next, most)
	}
	return repeated
}

func TestEventsArriveInOrderAlsoThoseFromBeforeTheBroker(t *testing.T) {
	b := startBroker(t, anybody)
	p := withEvents(t, newPublisher(t, b.settings()))
	for n := range 500 {
		p.TakeEvent(happening(n))
	}
	b.start()
	seen := b.subscribe()
	run(t, p)
	for n := range 500 {
		p.TakeEvent(happening(500 + n))
	}
	waiting.Until(t, "all arrive", func() bool { return len(seen.all(topicEvents)) >= 1000 })
	if repeated := order(t, seen.all(topicEvents), 1000); repeated != 0 {
		t.Errorf("%d arrived twice", repeated)
	}
	waiting.Until(t, "all are acknowledged", func() bool { return p.EventsWaiting() == 0 })
}

// A frozen broker takes events into its buffers and acknowledges none; then it is killed.
func TestEventsThatWereOnTheirWayAreSentAgain(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	p := withEvents(t, newPublisher(t, b.settings()))
	stop := run(t, p)
	waiting.Until(t, "connected", p.Connected)
	b.signal(syscall.SIGSTOP)
	for n := range 300 {
		p.TakeEvent(happening(n))
	}
	b.kill()
	waiting.Until(t, "the loss is noticed", func() bool { return !p.Connected() })
	stop()
	b.start()
	seen := b.subscribe() // before the publisher: a broker keeps nothing for who is not there
	run(t, p)
	waiting.Until(t, "all arrive", func() bool { return len(seen.all(topicEvents)) >= 300 })
	order(t, seen.all(topicEvents), 300)
	waiting.Until(t, "all are acknowledged", func() bool { return p.EventsWaiting() == 0 })
}

func TestAZoneHasTopicsOfItsOwn(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	p := newPublisher(t, b.settings())
	run(t, p)
	p.TakeState(hub.State{Camera: "door", Confirmed: 3, Occupied: true})
	p.TakeState(hub.State{Camera: "door", Zone: "step", Confirmed: 1, Occupied: false})
	seen := b.subscribe()
	for topic, want := range map[string]string{"faces": "3", "occupied": "ON", "zone/step/faces": "1", "zone/step/occupied": "OFF"} {
		waiting.Until(t, topic+" = "+want, func() bool { return seen.last("visavis/porch/door/"+topic) == want })
	}
}
