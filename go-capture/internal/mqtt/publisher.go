// SPDX-License-Identifier: Apache-2.0

// Package mqtt tells a broker what the hub finds. Run keeps one connection after another; nothing else ever waits for it.
package mqtt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/hub"
)

const (
	firstRetry     = 200 * time.Millisecond
	mostRetry      = 5 * time.Second
	connectTimeout = 5 * time.Second
	writeTimeout   = 2 * time.Second  // a broker that takes nothing for so long counts as lost
	messageTimeout = 30 * time.Second // for a large one on a slow line; a broker that hears no other for longer hangs up anyway
	keepAlive      = 15 * time.Second
	farewellMost   = time.Second // how long ending waits for the broker to take `offline`
	disconnectMs   = 250         // at most, for DISCONNECT to be written
	statsInterval  = 10 * time.Second
	infoInterval   = time.Second // how soon a change is seen
)

// Publisher is the leaf that speaks MQTT. All methods but Run return at once and may be called from any goroutine.
type Publisher struct {
	*link
	backlog *backlog
	*memory
	commands *commands
	born     atomic.Bool // Home Assistant has started
	info     atomic.Pointer[func() Info]
	looks    looks
}

// New checks the settings; it does not connect.
func New(s Settings) (*Publisher, error) {
	l, err := newLink(s, "")
	if err != nil {
		return nil, err
	}
	p := &Publisher{link: l, backlog: newBacklog(), memory: newMemory(l, s.Prefix, homeAssistant), commands: newCommands()}
	p.states.arrival = StatusTopic(s.Prefix, s.Device)
	p.states.set(p.states.arrival, isThere, false)
	return p, nil
}

func (p *Publisher) state() BrokerState {
	s := p.link.state()
	s.Replaced = p.backlog.unsent()
	return s
}

// Take implements hub.Leaf.
func (p *Publisher) Take(r *hub.Result) {
	p.backlog.add(*r)
	p.nudge()
}

// TakeState implements hub.StateTaker.
func (p *Publisher) TakeState(s hub.State) { p.setState(s, false) }

func (p *Publisher) setState(s hub.State, ifNew bool) {
	occupied := "OFF"
	if s.Occupied {
		occupied = "ON"
	}
	faces, presence := p.stateTopics(s)
	p.setDetecting(s.Camera, false, true) // the order in which topics are first heard of is that in which they are told
	p.states.set(faces, strconv.Itoa(s.Confirmed), ifNew)
	p.states.set(presence, occupied, ifNew)
	p.nudge()
}

// stateTopics are where a state of a camera or of one of its zones is told.
func (p *Publisher) stateTopics(s hub.State) (faces, occupied string) {
	prefix, device := p.settings.Prefix, p.settings.Device
	if s.Zone == "" {
		return FacesTopic(prefix, device, s.Camera), OccupiedTopic(prefix, device, s.Camera)
	}
	return ZoneFacesTopic(prefix, device, s.Camera, s.Zone), ZoneOccupiedTopic(prefix, device, s.Camera, s.Zone)
}

// SetCameraStatus tells whether a camera delivers. A camera heard of for the first time starts empty.
func (p *Publisher) SetCameraStatus(id string, online bool) {
	p.states.set(CameraStatusTopic(p.settings.Prefix, p.settings.Device, id), presence(online), false)
	p.setState(hub.State{Camera: id}, true)
}

func presence(is bool) string {
	if is {
		return "online"
	}
	return "offline"
}

// InfoFrom sets where to read what is retained about the device. It is read each second and sent when it has changed.
func (p *Publisher) InfoFrom(read func() Info) { p.info.Store(&read) }

func (p *Publisher) nudge() { nudge(p.wake) }

// Run keeps a connection until ctx ends, then says `offline` itself. A broker that is away is never an error.
func (p *Publisher) Run(ctx context.Context) error {
	defer p.remember()()
	defer p.follow(ctx)()
	return p.keep(ctx, p.session)
}

// session is one connection: connect, tell everything retained, then send what comes until something breaks.
func (p *Publisher) session(ctx context.Context, reached func()) (failed error) {
	gone := make(chan error, 2) // nobody waits: paho says it once, the events once
	client, err := p.connect(ctx, p.will(), gone)
	if err != nil {
		return err
	}
	defer func() { client.end(failed == nil) }()
	reached()
	p.setOnline(true)
	defer p.setOnline(false)
	defer p.deliverEvents(context.WithoutCancel(ctx), client, gone)() // what happened last goes out, too
	stats, info := time.NewTicker(statsInterval), time.NewTicker(infoInterval)
	defer stats.Stop()
	defer info.Stop()
	p.listen(client)
	p.watchHome(client)
	if err := p.readDevice(); err != nil {
		return err
	}
	for {
		if err := p.flush(client); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return p.leave(client)
		case err := <-gone:
			return fmt.Errorf("connection to %s lost: %w", p.settings.URL, err)
		case <-stats.C:
			if err := p.sendStats(client); err != nil {
				return err
			}
		case <-info.C:
			p.welcomeHome()
			if err := p.readDevice(); err != nil {
				return err
			}
		case <-p.wake:
		}
	}
}

func (p *Publisher) setOnline(online bool) {
	p.backlog.connected(online)
	p.states.connected(online)
	p.link.setOnline(online)
}

func (p *Publisher) will() will {
	return will{StatusTopic(p.settings.Prefix, p.settings.Device), []byte("offline"), StatusDelivery}
}

// flush sends all that waits: states first, for there are few, then results. Those that come meanwhile have their turn after
// everything else has had its own: on a slow line there are always more.
func (p *Publisher) flush(client paho.Client) error {
	if err := p.memory.flush(client); err != nil {
		return err
	}
	for range p.backlog.size() {
		r, drops := p.backlog.next()
		if r == nil {
			return nil
		}
		if err := p.send(client, r, drops); err != nil {
			p.backlog.failed(r.Camera, drops)
			return fmt.Errorf("publish detections of %s: %w", r.Camera, err)
		}
	}
	if p.backlog.size() > 0 {
		p.nudge()
	}
	return nil
}

// qos is that of a retained message: pictures may get lost, a new one comes. An empty payload must arrive: what it clears may show a face.
func (s saying) qos() byte {
	if s.isPicture() {
		return SnapshotDelivery.QoS
	}
	return StatusDelivery.QoS
}

func (s saying) isPicture() bool { return s.payload != "" && isPicture(s.topic) }

func isPicture(topic string) bool {
	return strings.HasSuffix(topic, "/snapshot") || strings.HasSuffix(topic, "/last_face")
}

func (p *Publisher) send(client paho.Client, r *hub.Result, drops hub.Dropped) error {
	payload, err := encode(p.settings.Device, r, drops, frame.MonotonicNs())
	if err != nil {
		return err
	}
	return written(client.Publish(DetectionsTopic(p.settings.Prefix, p.settings.Device, r.Camera), DetectionsDelivery.QoS, DetectionsDelivery.Retain, payload))
}

// readDevice puts what the device is and looks at now among the states, which go out when they differ from what was sent.
func (p *Publisher) readDevice() error {
	p.readDetecting()
	return p.readInfo()
}

func (p *Publisher) readInfo() error {
	read := p.info.Load()
	if read == nil {
		return nil
	}
	payload, err := json.Marshal((*read)())
	if err != nil {
		return fmt.Errorf("encode info: %w", err)
	}
	p.states.set(InfoTopic(p.settings.Prefix, p.settings.Device), string(payload), false)
	return nil
}

func (p *Publisher) sendStats(client paho.Client) error {
	read := p.stats.Load()
	if read == nil {
		return nil
	}
	payload, err := json.Marshal((*read)())
	if err != nil {
		return fmt.Errorf("encode stats: %w", err)
	}
	return written(client.Publish(StatsTopic(p.settings.Prefix, p.settings.Device), StatsDelivery.QoS, StatsDelivery.Retain, payload))
}

// failure is what went wrong at once; a state that is lost later is sent again with the next connection.
func failure(token paho.Token) error {
	select {
	case <-token.Done():
		return token.Error()
	default:
		return nil
	}
}

var errNotTaken = errors.New("the broker takes nothing")

// written waits until the connection has the message, so that what was not sent is known exactly.
func written(token paho.Token) error {
	if !token.WaitTimeout(messageTimeout) {
		return errNotTaken
	}
	return token.Error()
}

// leave sends what happened last and says offline before the connection is closed in order.
func (p *Publisher) leave(client paho.Client) error {
	p.states.endOf("status")
	p.states.endOf("detecting")
	if err := p.memory.flushLast(client); err != nil {
		return err
	}
	p.waitForEvents()
	return farewell(client, p.will())
}
