// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"visavis/capture/internal/event"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/outbox"
)

// Brokers are all the brokers that are told. Each has a publisher of its own, with its own outbox, positions and counts, so that
// one that is away holds up no other. Its methods do what those of a Publisher do, for all of them.
type Brokers struct {
	all   []*Publisher // of the native topics
	forms []dialect
}

// dialect tells the same in the topics of another system.
type dialect interface {
	hub.Leaf
	hub.StateTaker
	hub.EventTaker
	SetCameraStatus(id string, online bool)
	SetLastFace(camera string, face Picture)
	HidePictures(camera string)
	Expect(places []Place)
	StatsFrom(read func() Stats)
	EventsFrom(events *outbox.Outbox)
	Run(ctx context.Context) error
	state() BrokerState
	folder() string // of its outbox; "" if it has none
	owner() owner
	retaining() *memory
	faults(topics *memory) []Fault
	lookAtCertificates(now time.Time)
}

type namedDialect struct {
	name string
	open func(Settings) (dialect, error)
}

// dialects are the forms beside the native one.
var dialects = []namedDialect{
	{frigateForm, func(s Settings) (dialect, error) { return NewFrigate(s) }},
	{sparkplugForm, func(s Settings) (dialect, error) { return NewSparkplug(s) }},
}

// BrokerState is what is known of one broker now.
type BrokerState struct {
	Name      string // its section of the configuration, and the form if it is not the native one: mqtt, mqtt/frigate
	Connected bool
	Error     string // why it is away, with the remedy
	Waiting   uint64 // events
	Lost      uint64 // events
	Replaced  uint64 // results of frames, by newer ones before the broker could take them
}

// NewBrokers checks the settings of each; it does not connect.
func NewBrokers(each ...Settings) (*Brokers, error) {
	made := &Brokers{}
	for _, s := range each {
		if err := made.add(s); err != nil {
			return nil, err
		}
	}
	return made, nil
}

func (b *Brokers) add(s Settings) error {
	for _, d := range dialects {
		if !slices.Contains(s.Formats, d.name) {
			continue
		}
		one, err := d.open(s)
		if err != nil {
			return err
		}
		b.forms = append(b.forms, one)
	}
	if len(s.Formats) > 0 && !slices.Contains(s.Formats, nativeForm) {
		return nil
	}
	p, err := New(s)
	if err != nil {
		return err
	}
	b.all = append(b.all, p)
	return nil
}

const nativeForm = "native"

// Run serves all brokers until ctx ends.
func (b *Brokers) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range b.all {
		group.Go(func() error { return p.Run(ctx) })
	}
	for _, f := range b.forms {
		group.Go(func() error { return f.Run(ctx) })
	}
	return group.Wait()
}

// States are the brokers' in the order of the settings, then those of the other forms.
func (b *Brokers) States() []BrokerState {
	states := []BrokerState{}
	for _, p := range b.all {
		states = append(states, p.state())
	}
	for _, f := range b.forms {
		states = append(states, f.state())
	}
	return states
}

// Connected reports whether every broker is there.
func (b *Brokers) Connected() bool {
	return !slices.ContainsFunc(b.States(), func(s BrokerState) bool { return !s.Connected })
}

// Commands counts what came from all of them.
func (b *Brokers) Commands() Tally {
	sum := Tally{Refused: map[string]uint64{}}
	for _, p := range b.all {
		one := p.Commands()
		sum.Taken = sum.Taken || one.Taken
		sum.Obeyed += one.Obeyed
		for reason, n := range one.Refused {
			sum.Refused[reason] += n
		}
	}
	return sum
}

// Take implements hub.Leaf.
func (b *Brokers) Take(r *hub.Result) {
	b.each(func(p *Publisher) { p.Take(r) }, func(f dialect) { f.Take(r) })
}

// TakeState implements hub.StateTaker.
func (b *Brokers) TakeState(s hub.State) {
	b.each(func(p *Publisher) { p.TakeState(s) }, func(f dialect) { f.TakeState(s) })
}

// TakeDetecting implements hub.DetectingTaker. Frigate's form has no word for it.
func (b *Brokers) TakeDetecting(camera string, detecting bool) {
	b.each(func(p *Publisher) { p.TakeDetecting(camera, detecting) }, func(f dialect) {
		if taker, ok := f.(hub.DetectingTaker); ok {
			taker.TakeDetecting(camera, detecting)
		}
	})
}

// TakeEvent implements hub.EventTaker.
func (b *Brokers) TakeEvent(e event.Event) {
	b.each(func(p *Publisher) { p.TakeEvent(e) }, func(f dialect) { f.TakeEvent(e) })
}

// SetCameraStatus tells whether a camera delivers.
func (b *Brokers) SetCameraStatus(id string, online bool) {
	b.each(func(p *Publisher) { p.SetCameraStatus(id, online) }, func(f dialect) { f.SetCameraStatus(id, online) })
}

// SetState tells how one thing of a camera is set. Sparkplug's form has no word for it.
func (b *Brokers) SetState(camera, name, value string) {
	b.each(func(p *Publisher) { p.SetState(camera, name, value) }, func(f dialect) {
		if teller, ok := f.(interface {
			SetState(camera, name, value string)
		}); ok {
			teller.SetState(camera, name, value)
		}
	})
}

// Expect says which cameras and zones there are from now on.
func (b *Brokers) Expect(places []Place) {
	b.each(func(p *Publisher) { p.Expect(places) }, func(f dialect) { f.Expect(places) })
}

// CommandsTo sets who obeys. It is called for one command after another, whoever they come from.
func (b *Brokers) CommandsTo(obey func(Command) error) {
	var one sync.Mutex
	b.each(func(p *Publisher) {
		p.CommandsTo(func(c Command) error {
			one.Lock()
			defer one.Unlock()
			return obey(c)
		})
	})
}

// InfoFrom sets where to read what is retained about the device.
func (b *Brokers) InfoFrom(read func() Info) { b.each(func(p *Publisher) { p.InfoFrom(read) }) }

// DetectingFrom sets where to read in which cameras somebody looks for faces.
func (b *Brokers) DetectingFrom(read func() map[string]bool) {
	b.each(func(p *Publisher) { p.DetectingFrom(read) })
}

// StatsFrom sets where the figures sent every ten seconds come from.
func (b *Brokers) StatsFrom(read func() Stats) {
	b.each(func(p *Publisher) { p.StatsFrom(read) }, func(f dialect) { f.StatsFrom(read) })
}

// each does something to all publishers, and to the forms that know it.
func (b *Brokers) each(do func(*Publisher), same ...func(dialect)) {
	for _, p := range b.all {
		do(p)
	}
	for _, f := range b.forms {
		for _, do := range same {
			do(f)
		}
	}
}
