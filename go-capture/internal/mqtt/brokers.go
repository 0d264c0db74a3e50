// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"golang.org/x/sync/errgroup"

	"visavis/capture/internal/event"
	"visavis/capture/internal/hub"
	durable "visavis/capture/internal/outbox"
)

// Brokers are all the brokers that are told. Each has a publisher of its own, with its own outbox, positions and counts, so that
// one that is away holds up no other. Its methods do what those of a Publisher do, for all of them.
type Brokers struct{ all []*Publisher }

// BrokerState is what is known of one broker now.
type BrokerState struct {
	Section   string // of the configuration
	Connected bool
	Error     string // why it is away, with the remedy
	Waiting   uint64 // events
	Lost      uint64 // events
}

// NewBrokers checks the settings of each; it does not connect.
func NewBrokers(each ...Settings) (*Brokers, error) {
	made := &Brokers{}
	for _, s := range each {
		p, err := New(s)
		if err != nil {
			return nil, err
		}
		made.all = append(made.all, p)
	}
	return made, nil
}

// Run serves all brokers until ctx ends.
func (b *Brokers) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range b.all {
		group.Go(func() error { return p.Run(ctx) })
	}
	return group.Wait()
}

// Keep gives each publisher its outbox and its memory of topics, in folders of their own below this one. Call it before Run.
func (b *Brokers) Keep(folder string) (closeAll func(context.Context) error, err error) {
	var opened []*durable.Outbox
	closeAll = func(ctx context.Context) error {
		var failed error
		for _, events := range opened {
			failed = errors.Join(failed, events.Close(ctx))
		}
		return failed
	}
	for _, p := range b.all {
		name := p.settings.Device + p.settings.suffix(".") // no device has a dot in its name
		events, err := durable.Open(durable.Settings{Folder: filepath.Join(folder, "outbox", name)})
		if err != nil {
			err = fmt.Errorf("%w: another daemon may use the same device.id; set VISAVIS_STATE_DIR for one of them", err)
			return nil, errors.Join(err, closeAll(context.Background()))
		}
		opened = append(opened, events)
		p.EventsFrom(events)
		p.RememberIn(filepath.Join(folder, "topics", name+".json"))
	}
	return closeAll, nil
}

// States are the brokers' in the order of the settings.
func (b *Brokers) States() []BrokerState {
	states := make([]BrokerState, len(b.all))
	for i, p := range b.all {
		states[i] = BrokerState{p.section(), p.Connected(), p.Error(), p.EventsWaiting(), p.EventsLost()}
	}
	return states
}

// Connected reports whether every broker is there.
func (b *Brokers) Connected() bool {
	for _, p := range b.all {
		if !p.Connected() {
			return false
		}
	}
	return true
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
func (b *Brokers) Take(r *hub.Result) { b.each(func(p *Publisher) { p.Take(r) }) }

// TakeState implements hub.StateTaker.
func (b *Brokers) TakeState(s hub.State) { b.each(func(p *Publisher) { p.TakeState(s) }) }

// TakeEvent implements hub.EventTaker.
func (b *Brokers) TakeEvent(e event.Event) { b.each(func(p *Publisher) { p.TakeEvent(e) }) }

// SetCameraStatus tells whether a camera delivers.
func (b *Brokers) SetCameraStatus(id string, online bool) {
	b.each(func(p *Publisher) { p.SetCameraStatus(id, online) })
}

// SetState tells how one thing of a camera is set.
func (b *Brokers) SetState(camera, name, value string) {
	b.each(func(p *Publisher) { p.SetState(camera, name, value) })
}

// SetSnapshot publishes a camera's newest picture.
func (b *Brokers) SetSnapshot(camera string, jpeg []byte) {
	b.each(func(p *Publisher) { p.SetSnapshot(camera, jpeg) })
}

// SetLastFace publishes a picture of who appeared last.
func (b *Brokers) SetLastFace(camera string, jpeg []byte) {
	b.each(func(p *Publisher) { p.SetLastFace(camera, jpeg) })
}

// Expect says which cameras and zones there are from now on.
func (b *Brokers) Expect(places []Place) { b.each(func(p *Publisher) { p.Expect(places) }) }

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

// StatsFrom sets where the figures sent every ten seconds come from.
func (b *Brokers) StatsFrom(read func() Stats) { b.each(func(p *Publisher) { p.StatsFrom(read) }) }

func (b *Brokers) each(do func(*Publisher)) {
	for _, p := range b.all {
		do(p)
	}
}

func (p *Publisher) section() string { return cmp.Or(p.settings.Section, firstSection) }
