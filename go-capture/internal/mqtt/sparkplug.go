// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"visavis/capture/internal/event"
	"visavis/capture/internal/hub"
)

const (
	sparkplugForm      = "sparkplug"
	bdSeq              = "bdSeq"
	nodeRebirth        = "Node Control/Rebirth"
	sparkplugCycle     = 256              // bdSeq and seq begin anew there
	sparkplugBreath    = time.Second      // between two births, however many are asked for
	sparkplugMostBytes = 64 << 10         // of a command
	sparkplugFigures   = 10 * time.Second // of the node's own metrics
)

// Sparkplug tells a broker the same as a Publisher as an edge node of Sparkplug B: the device is the node, each camera a device of it.
// The protocol has QoS 0 for data, so what a broken connection held is lost; states and counters are told again at the next birth.
type Sparkplug struct {
	*link
	*memory             // of what other forms have left
	again   atomic.Bool // a birth was asked for
	runs    atomic.Bool

	figuresEvery time.Duration // of the node
	seq          uint64        // of the next message; of the session's goroutine alone
	bornAt       time.Time     // of the session's goroutine alone

	mu      sync.Mutex
	cameras map[string]*sparkplugCamera
	order   []string
	died    []string // cameras that were taken away after their birth
}

// NewSparkplug checks the settings; it does not connect.
func NewSparkplug(s Settings) (*Sparkplug, error) {
	l, err := newLink(s, sparkplugForm)
	if err != nil {
		return nil, err
	}
	return &Sparkplug{link: l, memory: newMemory(l), figuresEvery: sparkplugFigures, cameras: map[string]*sparkplugCamera{}}, nil
}

func (s *Sparkplug) folder() string { return "" } // QoS 0: nothing is acknowledged

// Take implements hub.Leaf.
func (s *Sparkplug) Take(*hub.Result) {}

// TakeState implements hub.StateTaker.
func (s *Sparkplug) TakeState(state hub.State) {
	s.with(state.Camera, func(c *sparkplugCamera) { c.believe(state) })
}

// TakeDetecting implements hub.DetectingTaker.
func (s *Sparkplug) TakeDetecting(camera string, detecting bool) {
	s.with(camera, func(c *sparkplugCamera) { c.set("detecting", detecting) })
}

// TakeEvent implements hub.EventTaker. Before Run come the ends of visits that a killed daemon had begun, and its counters are gone.
func (s *Sparkplug) TakeEvent(e event.Event) {
	if !s.runs.Load() {
		return
	}
	s.with(e.Camera, func(c *sparkplugCamera) {
		if err := c.hear(e); err != nil {
			slog.Error("event not told in Sparkplug's form", "camera", e.Camera, "error", err)
		}
	})
}

// SetCameraStatus tells whether a camera delivers: its birth and its death.
func (s *Sparkplug) SetCameraStatus(id string, online bool) {
	s.with(id, func(c *sparkplugCamera) { c.online = online })
}

// SetState tells nothing: a camera has no metric of how it is set.
func (s *Sparkplug) SetState(string, string, string) {}

func (s *Sparkplug) with(camera string, do func(*sparkplugCamera)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, known := s.cameras[camera]; known {
		do(c)
		nudge(s.wake)
	}
}

// Expect says which cameras there are from now on, with their zones and lines. One whose metrics change is born anew.
func (s *Sparkplug) Expect(places []Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.cameras
	s.cameras, s.order = map[string]*sparkplugCamera{}, nil
	for _, place := range places {
		fresh := newSparkplugCamera(place)
		if old, known := before[place.Camera]; known {
			fresh.goOn(old)
		}
		s.cameras[place.Camera] = fresh
		s.order = append(s.order, place.Camera)
	}
	for id, old := range before {
		if _, stays := s.cameras[id]; !stays && old.born {
			s.died = append(s.died, id)
		}
	}
	s.states.want(nil)
	nudge(s.wake)
}

// goOn takes over what is known already. It is to be born again: its metrics may be others. If it is away by then, it dies as what it was.
func (c *sparkplugCamera) goOn(old *sparkplugCamera) {
	c.online, c.born, c.anew, c.events = old.online, old.born, old.born, old.events
	for _, name := range c.order {
		if value, known := old.values[name]; known {
			c.values[name] = value
		}
	}
}

// Run keeps a connection until ctx ends.
func (s *Sparkplug) Run(ctx context.Context) error {
	defer s.remember()()
	s.runs.Store(true)
	return s.keep(ctx, s.session)
}

func (s *Sparkplug) session(ctx context.Context, reached func()) (failed error) {
	number := int64(s.opened.Load() % sparkplugCycle)
	gone := make(chan error, 1)
	client, err := s.connect(ctx, s.death(number), gone)
	if err != nil {
		return err
	}
	defer func() { client.end(failed == nil) }()
	reached()
	if err := s.listen(client); err != nil {
		return err
	}
	s.forget()
	if err := s.birth(client, number); err != nil {
		return err
	}
	s.states.connected(true)
	s.setOnline(true)
	defer s.setOnline(false)
	return s.live(ctx, client, number, gone)
}

// live tells what changes until something breaks or ctx ends.
func (s *Sparkplug) live(ctx context.Context, client paho.Client, number int64, gone <-chan error) error {
	figures := time.NewTicker(s.figuresEvery)
	defer figures.Stop()
	for {
		breath, err := s.tell(client, number)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return s.leave(client, number)
		case err := <-gone:
			return fmt.Errorf("connection to %s lost: %w", s.settings.URL, err)
		case <-breath:
		case <-figures.C:
			if s.again.Load() {
				continue // the birth that was asked for tells them
			}
			if err := s.publish(client, nodeData, "", s.figures()); err != nil {
				return err
			}
		case <-s.wake:
		}
	}
}

// tell says what is new. Once a birth was asked for nothing else follows, not even data that were due before; it comes at once, or as
// soon as the one before is long enough ago, which breath then tells.
func (s *Sparkplug) tell(client paho.Client, number int64) (breath <-chan time.Time, err error) {
	if s.again.Load() {
		if rest := sparkplugBreath - time.Since(s.bornAt); rest > 0 {
			return time.After(rest), nil
		}
		s.again.Store(false)
		if err := s.birth(client, number); err != nil {
			return nil, err
		}
	}
	return nil, s.flush(client)
}

// death is what the broker says for us: the number ties it to the birth that it ends.
func (s *Sparkplug) death(number int64) will {
	payload := encodeSparkplug(time.Now(), nil, metric{bdSeq, number})
	return will{SparkplugNdeathTopic(s.settings.SparkplugGroup, s.settings.Device), payload, SparkplugNdeathDelivery}
}

// listen asks for commands before the birth, as the specification wants it.
func (s *Sparkplug) listen(client paho.Client) error {
	topic := SparkplugCommandTopic(s.settings.SparkplugGroup, s.settings.Device)
	token := client.Subscribe(topic, 1, func(_ paho.Client, m paho.Message) { s.hear(m) })
	if !token.WaitTimeout(s.patience) {
		return errNotTaken
	}
	s.settings.warnIfRefused(token, topic,
		"the broker does not let this device subscribe to Sparkplug's commands, so no host can ask for a rebirth: allow it in its access list")
	return token.Error()
}

// hear never waits, and asks for one birth however many commands come.
func (s *Sparkplug) hear(m paho.Message) {
	if m.Retained() || len(m.Payload()) > sparkplugMostBytes {
		return
	}
	asked, err := asksForRebirth(m.Payload())
	if err != nil {
		slog.Debug("command not understood", "topic", m.Topic(), "error", err)
		return
	}
	if asked {
		s.again.Store(true)
		nudge(s.wake)
	}
}

// forget lets go what happened while the broker was away: the protocol would tell it as if it happened now.
func (s *Sparkplug) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.cameras {
		c.events = nil
	}
}

// birth tells everything: the node with seq 0, then each camera that is there.
func (s *Sparkplug) birth(client paho.Client, number int64) error {
	s.mu.Lock()
	for _, c := range s.cameras {
		c.born, c.anew = false, false
	}
	s.died = nil
	s.mu.Unlock()
	s.seq, s.bornAt = 0, time.Now()
	about := []metric{{bdSeq, number}, {nodeRebirth, false}, {"version", s.settings.Version}, {"url", s.settings.Page}}
	return s.publish(client, nodeBirth, "", append(about, s.figures()...))
}

// figures are the node's own metrics.
func (s *Sparkplug) figures() []metric {
	stats := Stats{}
	if read := s.stats.Load(); read != nil {
		stats = (*read)()
	}
	return []metric{{"memory_bytes", stats.MemoryBytes}, {"temperature_c", stats.TemperatureC}}
}

// flush clears what other forms have left, and tells births, deaths and news of the cameras until there is nothing more.
func (s *Sparkplug) flush(client paho.Client) error {
	if err := s.memory.flush(client); err != nil {
		return err
	}
	for !s.again.Load() {
		kind, camera, metrics := s.next()
		if kind == noKind {
			return nil
		}
		if err := s.publish(client, kind, camera, metrics); err != nil {
			return err
		}
	}
	return nil
}

// next is the message that is due now; noKind when none is.
func (s *Sparkplug) next() (kind sparkplugKind, camera string, metrics []metric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.died) > 0 {
		camera, s.died = s.died[0], s.died[1:]
		return cameraDeath, camera, nil
	}
	for _, id := range s.order {
		c := s.cameras[id]
		switch {
		case c.online && (!c.born || c.anew):
			c.born, c.anew = true, false
			return cameraBirth, id, c.birth()
		case c.born && !c.online:
			c.born, c.anew, c.events = false, false, nil
			return cameraDeath, id, nil
		case c.born && (len(c.changed) > 0 || len(c.events) > 0):
			return cameraData, id, c.news()
		}
	}
	return noKind, "", nil
}

// publish sends one message under the next number.
func (s *Sparkplug) publish(client paho.Client, kind sparkplugKind, camera string, metrics []metric) error {
	topic := kind.topic(s.settings.SparkplugGroup, s.settings.Device, camera)
	number := s.seq
	s.seq = (s.seq + 1) % sparkplugCycle
	if err := written(client.Publish(topic, 0, false, encodeSparkplug(time.Now(), &number, metrics...))); err != nil {
		return fmt.Errorf("publish %s: %w", topic, err)
	}
	return nil
}

// sparkplugKind is a kind of message; noKind is none.
type sparkplugKind int

const (
	noKind sparkplugKind = iota
	nodeBirth
	nodeData
	cameraBirth
	cameraData
	cameraDeath
)

func (k sparkplugKind) topic(group, node, camera string) string {
	switch k {
	case nodeBirth:
		return SparkplugNbirthTopic(group, node)
	case nodeData:
		return SparkplugNdataTopic(group, node)
	case cameraBirth:
		return SparkplugDbirthTopic(group, node, camera)
	case cameraData:
		return SparkplugDdataTopic(group, node, camera)
	}
	return SparkplugDdeathTopic(group, node, camera)
}

// leave says what the will would: an orderly end sends none.
func (s *Sparkplug) leave(client paho.Client, number int64) error {
	if err := s.flush(client); err != nil {
		return err
	}
	return farewell(client, s.death(number))
}
