// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"visavis/capture/internal/brokeraddress"
	"visavis/capture/internal/state"
)

// rememberMost is how long ending waits for a disk to take what was said last.
var rememberMost = farewellMost

// memory remembers in a file what stands retained at the broker, also what an earlier process of the same configuration announced:
// of cameras that are gone, under another prefix, under another device.id.
type memory struct {
	*states
	broker        brokeraddress.Place
	device        string
	section       string        // "" for the first one
	name          string        // of its file
	levels        []string      // first ones of its topics; none: it only clears
	alone         sync.Locker   // of the link
	wake          chan struct{} // there may be something to say
	pictures      *state.Fault  // that are not sent
	configuration string        // "" takes over nothing
	keeper        *state.Keeper // nil: nothing is remembered
	elsewhere     []announcedAt // at other brokers, those of last time first

	askedBy       paho.Client // the connection of the inquiries
	inquiries     map[string]*inquiry
	figuresMissed time.Duration // times their interval
}

func newMemory(l *link, levels ...string) *memory {
	return &memory{
		states: newStates(l.settings.Device), broker: brokeraddress.Of(l.address), device: l.settings.Device, section: l.settings.suffix(), name: l.folder(), levels: levels,
		alone: &l.alone, wake: make(chan struct{}, 1), figuresMissed: figuresMissed,
		pictures: state.NewFault(slog.String("url", l.settings.URL), "messages are not sent that the broker, or the line to it, does not take",
			"messages of each size are sent again"),
	}
}

// retaining is the memory of the form that embeds it.
func (m *memory) retaining() *memory { return m }

// open names the file, and reads what an earlier process remembered. Call it before Run. A file that cannot be read only costs
// that old topics stay.
func (m *memory) open(path, configuration string) announcedFile {
	m.configuration = configuration
	read, own, err := readAnnounced(path)
	if err != nil {
		slog.Warn("topics of removed cameras may stay at the broker", "file", path, "error", err)
	}
	m.keeper = state.NewKeeper(own, "topics are not remembered, those of removed cameras may stay at the broker", "topics are remembered again",
		m.text)
	m.notice = m.keeper.Changed
	return read
}

// take sorts what was announced by where that was. The same host may be the same broker at another port: what stood there is cleared
// here as well, once, and remembered for the case that it is not.
func (m *memory) take(read announcedFile) {
	for _, at := range append([]announcedAt{read.announcedAt}, read.Elsewhere...) {
		before := brokeraddress.Of(at.Broker)
		switch {
		case len(at.Topics) == 0:
			continue
		case at.Broker == "" || before == m.broker:
			m.recall(at)
			continue
		case before.Host == m.broker.Host && at.ClearedAt != m.broker.String():
			m.recall(at)
			at.ClearedAt = m.broker.String()
		}
		m.elsewhere = append(m.elsewhere, at)
	}
}

// text is what the file should hold.
func (m *memory) text() ([]byte, error) {
	now := announcedFile{Version: announcedVersion, announcedAt: m.announced(), Configuration: m.configuration,
		Elsewhere: m.elsewhere[:min(len(m.elsewhere), elsewhereMost)]}
	now.Broker = m.broker.String()
	raw, err := json.Marshal(now)
	return append(raw, '\n'), err
}

// remember keeps the file in step until the returned function is called.
func (m *memory) remember() (stop func()) {
	if m.keeper == nil {
		return func() {}
	}
	m.keeper.Changed() // the file may not be there yet
	m.keeper.Start()
	return func() { m.keeper.Close(rememberMost) }
}

// flush sends all that is retained and that the broker does not know.
func (m *memory) flush(client paho.Client) error {
	m.askOthers(client)
	for {
		said, found := m.next()
		if !found {
			m.pictures.Note(m.refusal())
			return nil
		}
		token, err := m.publish(client, said)
		if err != nil {
			return fmt.Errorf("publish %s: %w", said.topic, err)
		}
		switch {
		case said.awaited:
			go m.acknowledgedBy(said, token)
		case said.large:
			go m.readBy(said, client)
		}
	}
}

// flushLast gives the broker a moment to acknowledge what has to be, and to take pictures that wait for each other.
func (m *memory) flushLast(client paho.Client) error {
	const look = 5 * time.Millisecond
	for until := time.Now().Add(farewellMost); ; time.Sleep(look) {
		if err := m.flush(client); err != nil || !m.underWay() || time.Now().After(until) {
			return err
		}
	}
}

// publish waits until the connection has a picture.
func (m *memory) publish(client paho.Client, said saying) (paho.Token, error) {
	m.alone.Lock()
	defer m.alone.Unlock()
	token := client.Publish(said.topic, said.qos(), true, said.payload)
	if said.isPicture() {
		return token, written(token)
	}
	return token, failure(token)
}

// acknowledgedBy waits until the broker has what it was told. The token ends with the connection at the latest.
func (m *memory) acknowledgedBy(said saying, token paho.Token) {
	<-token.Done()
	if token.Error() == nil {
		m.acknowledged(said)
		m.arrived(said)
		nudge(m.wake)
	}
}

// readBy waits until the broker has read a large message, which it does not acknowledge: it answers what comes behind that, and to unsubscribe
// from what nobody has subscribed to changes nothing. Where nothing can be sent behind it in time, no other one waits for that.
func (m *memory) readBy(said saying, client paho.Client) {
	token := m.unsubscribe(client, said.topic)
	<-token.Done()
	switch {
	case token.Error() == nil:
		m.arrived(said)
	case client.IsConnectionOpen():
		m.unknown(said)
	default:
		return // the limit learns from a connection that ended
	}
	nudge(m.wake)
}

// unsubscribe waits for its turn behind what is written long; the answer it leaves to the caller.
func (m *memory) unsubscribe(client paho.Client, topics ...string) paho.Token {
	m.alone.Lock()
	defer m.alone.Unlock()
	return client.Unsubscribe(topics...)
}
