// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"visavis/capture/internal/control"
	"visavis/capture/internal/waiting"
)

// commander obeys everything and remembers it; while it is held it obeys nothing.
type commander struct {
	held sync.Mutex
	mu   sync.Mutex
	got  []string
}

func (c *commander) obey(command Command) error {
	c.held.Lock()
	defer c.held.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if command.Name == "reboot" {
		return control.Refusal{Reason: "unknown", Text: "no such order"}
	}
	c.got = append(c.got, fmt.Sprintf("%s %s %s", command.Camera, command.Name, command.Payload))
	return nil
}

func (c *commander) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.got)
}

// sender is a client that publishes what it is told.
func (b *broker) sender() func(topic, payload string, retain bool) {
	b.t.Helper()
	client := b.visitor(b.t)
	b.t.Cleanup(func() { client.Disconnect(0) })
	return func(topic, payload string, retain bool) {
		acknowledged(b.t, "publishing", client.Publish(topic, 1, retain, payload))
	}
}

// commanded is a connected publisher that takes commands.
func commanded(t *testing.T, b *broker) (*Publisher, *commander) {
	t.Helper()
	s := b.settings()
	s.Commands = true
	p, c := newPublisher(t, s), &commander{}
	p.CommandsTo(c.obey)
	run(t, p)
	waiting.Until(t, "connected", p.Connected)
	waiting.Until(t, "the broker knows the subscription", func() bool { return strings.Contains(b.log(), "visavis-porch 1 visavis/porch/+/set/+") })
	return p, c
}

const subscriptions = anybody + "\nlog_type all"

func TestCommandsOfThisDeviceArriveInOrderAndNoOthersDo(t *testing.T) {
	b := startBroker(t, subscriptions)
	b.start()
	p, c := commanded(t, b)
	send := b.sender()
	for _, topic := range []string{"visavis/hall/door/set/detect", "visavis/porch/set/detect", "visavis/porch/door/set", "visavis/porch/door/state/detect",
		"other/porch/door/set/detect", "visavis/porch/door/zone/set/detect"} {
		send(topic, "OFF", false)
	}
	var want []string
	for i := range 20 {
		payload := []string{"ON", "OFF"}[i%2]
		send("visavis/porch/door/set/detect", payload, false)
		want = append(want, "door detect "+payload)
	}
	waiting.Until(t, "all are obeyed", func() bool { return p.Commands().Obeyed >= uint64(len(want)) })
	if got := c.all(); !slices.Equal(got, want) {
		t.Errorf("obeyed %v, want %v", got, want)
	}
	if got := p.Commands(); got.Obeyed != 20 || len(got.Refused) != 0 || !got.Taken {
		t.Errorf("counted %+v", got)
	}
}

func TestARetainedCommandIsIgnoredAndCounted(t *testing.T) {
	b := startBroker(t, subscriptions)
	b.start()
	send := b.sender()
	send("visavis/porch/door/set/enabled", "OFF", true)
	p, c := commanded(t, b)
	waiting.Until(t, "it is refused", func() bool { return p.Commands().Refused["retained"] == 1 })
	send("visavis/porch/door/set/enabled", "ON", false)
	waiting.Until(t, "a fresh one is obeyed", func() bool { return len(c.all()) == 1 })
	if got := c.all()[0]; got != "door enabled ON" {
		t.Errorf("obeyed %s", got)
	}
}

func TestWhatIsTooLongOrUnknownIsRefusedAndCounted(t *testing.T) {
	b := startBroker(t, subscriptions)
	b.start()
	p, _ := commanded(t, b)
	send := b.sender()
	send("visavis/porch/door/set/detect", strings.Repeat("x", commandBytes+1), false)
	send("visavis/porch/"+strings.Repeat("x", commandBytes)+"/set/detect", "ON", false)
	send("visavis/porch/door/set/reboot", "ON", false)
	want := map[string]uint64{"malformed": 2, "unknown": 1}
	waiting.Until(t, "three are refused", func() bool { return maps.Equal(p.Commands().Refused, want) })
}

func TestAFloodNeitherWaitsNorHoldsUpWhatIsTold(t *testing.T) {
	b := startBroker(t, subscriptions)
	b.start()
	p, c := commanded(t, b)
	seen, send := b.subscribe(), b.sender()
	c.held.Lock() // whoever obeys hangs
	const flood = 500
	for range flood {
		send("visavis/porch/door/set/detect", "OFF", false)
	}
	p.SetState("door", "detect", "OFF")
	waiting.Until(t, "states still go out", func() bool { return seen.last("visavis/porch/door/state/detect") == "OFF" })
	waiting.Until(t, "the flood is counted", func() bool { return p.Commands().Refused["too_many"] >= flood-commandsWaiting-1 })
	c.held.Unlock()
	waiting.Until(t, "what waited is obeyed", func() bool {
		tally := p.Commands()
		return tally.Obeyed+tally.Refused["too_many"] == flood
	})
}

func TestCommandsAreHeardAgainAfterTheBrokerWasAway(t *testing.T) {
	b := startBroker(t, subscriptions)
	b.start()
	p, c := commanded(t, b)
	b.kill()
	waiting.Until(t, "gone", func() bool { return !p.Connected() })
	b.start()
	send := b.sender()
	waiting.Until(t, "obeyed", func() bool {
		send("visavis/porch/door/set/detect", "OFF", false)
		return len(c.all()) > 0
	})
}

func TestWithoutTheSettingNoCommandIsHeard(t *testing.T) {
	b := startBroker(t, subscriptions)
	b.start()
	p, c := newPublisher(t, b.settings()), &commander{}
	p.CommandsTo(c.obey)
	run(t, p)
	waiting.Until(t, "connected", p.Connected)
	seen, send := b.subscribe(), b.sender()
	send("visavis/porch/door/set/detect", "OFF", false)
	waiting.Until(t, "the broker has passed it on", func() bool { return seen.last("visavis/porch/door/set/detect") == "OFF" })
	if strings.Contains(b.log(), "visavis-porch 1 visavis") || len(c.all()) > 0 || p.Commands().Taken {
		t.Errorf("it listens: %v", c.all())
	}
}

func TestABrokerThatForbidsCommandsCostsOnlyTheCommands(t *testing.T) {
	b := startBroker(t, "")
	acl := b.config + ".acl"
	if err := os.WriteFile(acl, []byte("topic write visavis/porch/#\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(b.config)
	if err := errors.Join(err, os.WriteFile(b.config, []byte(string(text)+subscriptions+"\nacl_file "+acl+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	b.start()
	s := b.settings()
	s.Commands = true
	p, c := newPublisher(t, s), &commander{}
	p.CommandsTo(c.obey)
	run(t, p)
	waiting.Until(t, "the subscription is answered", func() bool { return strings.Contains(b.log(), "Sending SUBACK to visavis-porch") })
	p.SetState("door", "detect", "ON")
	waiting.Until(t, "states go out", func() bool { return strings.Contains(b.log(), "'visavis/porch/door/state/detect'") })
	if !p.Connected() {
		t.Error("the connection is lost")
	}
}
