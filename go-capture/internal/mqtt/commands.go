// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
	"golang.org/x/time/rate"

	"visavis/capture/internal/control"
)

const (
	commandsWaiting = 32 // more than that come faster than anybody could mean them
	commandBytes    = 256
	anyLevel        = "+"

	refusalsSaid  = 5 // refusals that get a line each before most are only counted
	refusalsPause = 10 * time.Second
)

// Command is what came on a topic `set/<name>`. Nothing about it has been checked but its size.
type Command struct {
	Topic, Camera, Name string
	Payload             []byte
}

// Tally counts commands since the start.
type Tally struct {
	Taken   bool // settings let commands in
	Obeyed  uint64
	Refused map[string]uint64 // by reason
}

// commands stand between the connection, which must never wait, and whoever obeys.
type commands struct {
	obey    func(Command) error
	waiting chan Command
	say     rate.Sometimes

	mu      sync.Mutex
	obeyed  uint64
	refused map[string]uint64
}

func newCommands() *commands {
	return &commands{
		waiting: make(chan Command, commandsWaiting), refused: map[string]uint64{},
		say: rate.Sometimes{First: refusalsSaid, Interval: refusalsPause},
	}
}

// CommandsTo sets who obeys, or says in a control.Refusal why not; it is called for one command after another. Call it before Run.
func (p *Publisher) CommandsTo(obey func(Command) error) { p.commands.obey = obey }

// Commands counts what came.
func (p *Publisher) Commands() Tally {
	c := p.commands
	c.mu.Lock()
	defer c.mu.Unlock()
	return Tally{Taken: p.takesCommands(), Obeyed: c.obeyed, Refused: maps.Clone(c.refused)}
}

func (p *Publisher) takesCommands() bool { return p.settings.Commands && p.commands.obey != nil }

// SetState tells how one thing of a camera is set.
func (p *Publisher) SetState(camera, name, value string) {
	p.states.set(StateTopic(p.settings.Prefix, p.settings.Device, camera, name), value, false)
	p.nudge()
}

// commandTopics is the filter for the commands of this device's cameras, and for nothing else.
func (p *Publisher) commandTopics() string {
	marks := strings.Split(SetTopic(p.settings.Prefix, p.settings.Device, "camera", "name"), "/")
	marks[2], marks[4] = anyLevel, anyLevel
	return strings.Join(marks, "/")
}

// listen asks the broker for commands. A broker that forbids it costs only the commands.
func (p *Publisher) listen(client paho.Client) {
	if !p.takesCommands() {
		return
	}
	topics := p.commandTopics()
	token := client.Subscribe(topics, SetDelivery.QoS, func(_ paho.Client, m paho.Message) { p.hear(m) })
	go p.settings.warnIfRefused(token, topics,
		"the broker does not let this device subscribe to its commands: allow it in its access list, or set mqtt.commands = \"off\"")
}

// warnIfRefused says what is lost where the broker does not grant a subscription. It waits for the answer, and for the end of the
// connection at the latest.
func (s Settings) warnIfRefused(token paho.Token, topic, sentence string) {
	<-token.Done()
	const refused = 0x80
	if token.(*paho.SubscribeToken).Result()[topic] == refused {
		slog.Warn(s.named(sentence), "topic", topic)
	}
}

// hear is called by the connection for each message, in order, and never waits.
func (p *Publisher) hear(m paho.Message) {
	levels := strings.Split(m.Topic(), "/")
	switch {
	case m.Retained():
		p.commands.refuse(m.Topic(), control.Refusal{Reason: "retained", Text: "a retained command is old: publish it without retain"})
		return
	case len(levels) != 5 || len(m.Topic()) > commandBytes || len(m.Payload()) > commandBytes:
		p.commands.refuse("", control.Refusal{Reason: "malformed", Text: "too long for a command"})
		return
	}
	select {
	case p.commands.waiting <- Command{Topic: m.Topic(), Camera: levels[2], Name: levels[4], Payload: m.Payload()}:
	default:
		p.commands.refuse(m.Topic(), control.Refusal{Reason: "too_many", Text: "commands come faster than they are obeyed"})
	}
}

// follow obeys commands until the returned function is called.
func (p *Publisher) follow(ctx context.Context) (stop func()) {
	if !p.takesCommands() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case next := <-p.commands.waiting:
				p.commands.carryOut(next)
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

func (c *commands) carryOut(next Command) {
	if err := c.obey(next); err != nil {
		c.refuse(next.Topic, err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.obeyed++
}

// refuse counts, and says so a few times: a flood must not fill the journal.
func (c *commands) refuse(topic string, err error) {
	reason := "failed"
	if why := (control.Refusal{}); errors.As(err, &why) {
		reason = why.Reason
	}
	c.mu.Lock()
	c.refused[reason]++
	c.mu.Unlock()
	c.say.Do(func() { slog.Warn("command refused", "topic", topic, "reason", reason, "error", err) })
}
