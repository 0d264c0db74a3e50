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
	natives []*Publisher
	all     []form // the native ones first
}

// form tells a broker in the topics of one system. For what that system has no word, a method does nothing.
type form interface {
	hub.Leaf
	hub.StateTaker
	hub.DetectingTaker
	hub.EventTaker
	SetCameraStatus(id string, online bool)
	SetState(camera, name, value string)
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

const nativeForm = "native"

type namedForm struct {
	name string
	open func(Settings) (form, error)
}

// otherForms are those beside the native one.
var otherForms = []namedForm{
	{frigateForm, func(s Settings) (form, error) { return NewFrigate(s) }},
	{sparkplugForm, func(s Settings) (form, error) { return NewSparkplug(s) }},
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
	var others []form
	for _, s := range each {
		opened, err := openOthers(s)
		if err != nil {
			return nil, err
		}
		others = append(others, opened...)
		if len(s.Formats) > 0 && !slices.Contains(s.Formats, nativeForm) {
			continue
		}
		p, err := New(s)
		if err != nil {
			return nil, err
		}
		made.natives = append(made.natives, p)
	}
	for _, p := range made.natives {
		made.all = append(made.all, p)
	}
	made.all = append(made.all, others...)
	return made, nil
}

// openOthers are the forms beside the native one that a broker is told in.
func openOthers(s Settings) (opened []form, err error) {
	for _, other := range otherForms {
		if !slices.Contains(s.Formats, other.name) {
			continue
		}
		one, err := other.open(s)
		if err != nil {
			return nil, err
		}
		opened = append(opened, one)
	}
	return opened, nil
}

// Run serves all brokers until ctx ends.
func (b *Brokers) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, f := range b.all {
		group.Go(func() error { return f.Run(ctx) })
	}
	return group.Wait()
}

// States are the brokers' in the order of the settings, then those of the other forms.
func (b *Brokers) States() []BrokerState {
	states := []BrokerState{}
	for _, f := range b.all {
		states = append(states, f.state())
	}
	return states
}

// Commands counts what came from all of them.
func (b *Brokers) Commands() Tally {
	sum := Tally{Refused: map[string]uint64{}}
	for _, p := range b.natives {
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
	for _, f := range b.all {
		f.Take(r)
	}
}

// TakeState implements hub.StateTaker.
func (b *Brokers) TakeState(s hub.State) {
	for _, f := range b.all {
		f.TakeState(s)
	}
}

// TakeDetecting implements hub.DetectingTaker.
func (b *Brokers) TakeDetecting(camera string, detecting bool) {
	for _, f := range b.all {
		f.TakeDetecting(camera, detecting)
	}
}

// TakeEvent implements hub.EventTaker.
func (b *Brokers) TakeEvent(e event.Event) {
	for _, f := range b.all {
		f.TakeEvent(e)
	}
}

// SetCameraStatus tells whether a camera delivers.
func (b *Brokers) SetCameraStatus(id string, online bool) {
	for _, f := range b.all {
		f.SetCameraStatus(id, online)
	}
}

// SetState tells how one thing of a camera is set.
func (b *Brokers) SetState(camera, name, value string) {
	for _, f := range b.all {
		f.SetState(camera, name, value)
	}
}

// Expect says which cameras and zones there are from now on.
func (b *Brokers) Expect(places []Place) {
	for _, f := range b.all {
		f.Expect(places)
	}
}

// CommandsTo sets who obeys. It is called for one command after another, whoever they come from.
func (b *Brokers) CommandsTo(obey func(Command) error) {
	var one sync.Mutex
	for _, p := range b.natives {
		p.CommandsTo(func(c Command) error {
			one.Lock()
			defer one.Unlock()
			return obey(c)
		})
	}
}

// InfoFrom sets where to read what is retained about the device.
func (b *Brokers) InfoFrom(read func() Info) {
	for _, p := range b.natives {
		p.InfoFrom(read)
	}
}

// DetectingFrom sets where to read in which cameras somebody looks for faces.
func (b *Brokers) DetectingFrom(read func() map[string]bool) {
	for _, p := range b.natives {
		p.DetectingFrom(read)
	}
}

// StatsFrom sets where the figures sent every ten seconds come from.
func (b *Brokers) StatsFrom(read func() Stats) {
	for _, f := range b.all {
		f.StatsFrom(read)
	}
}
