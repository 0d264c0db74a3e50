// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"visavis/capture/internal/state"
)

// memory remembers in a file what stands retained at the broker, also what an earlier process of the same configuration announced:
// of cameras that are gone, under another prefix, under another device.id.
type memory struct {
	*states
	broker        string
	alone         sync.Locker   // of the link
	wake          chan struct{} // there may be something to say
	pictures      *state.Fault  // that are not sent
	configuration string        // "" takes over nothing
	keeper        *state.Keeper // nil: nothing is remembered
	elsewhere     []announcedAt // at other brokers, those of last time first
}

func newMemory(l *link) *memory {
	return &memory{
		states: newStates(), broker: l.address, alone: &l.alone, wake: make(chan struct{}, 1),
		pictures: state.NewFault(slog.String("url", l.settings.URL), "pictures are not sent that the broker, or the line to it, does not take",
			"pictures of each size are sent again"),
	}
}

// RememberIn names the file, and reads what an earlier process remembered. Call it before Run. A file that cannot be read only costs
// that old topics stay.
func (m *memory) RememberIn(path, configuration string) {
	m.configuration = configuration
	read, own, err := readAnnounced(path)
	if err != nil {
		slog.Warn("topics of removed cameras may stay at the broker", "file", path, "error", err)
	}
	m.keeper = state.NewKeeper(own, "topics are not remembered, those of removed cameras may stay at the broker", "topics are remembered again",
		m.text)
	m.notice = m.keeper.Changed
	m.take(read)
}

// inherit takes over the file of a device that this one was, as its configuration says, and removes it once ours holds all.
func (m *memory) inherit(path string) {
	read, _, err := readAnnounced(path)
	if err != nil || read.Configuration != m.configuration || m.configuration == "" {
		return
	}
	read.Components = nil // of another device in Home Assistant, whose topic is cleared
	m.take(read)
	if !m.keeper.Write() {
		return // told by the keeper; the next start tries again
	}
	slog.Info("device.id was another one: what stands retained under that is cleared", "file", path)
	if err := os.Remove(path); err != nil {
		slog.Warn("a file of topics stays that is not needed", "error", err)
	}
}

// take sorts what was announced by where that was.
func (m *memory) take(read announcedFile) {
	for _, at := range append([]announcedAt{read.announcedAt}, read.Elsewhere...) {
		switch {
		case len(at.Topics) == 0:
		case at.Broker == "" || at.Broker == m.broker:
			m.recall(at)
		case len(m.elsewhere) < elsewhereMost:
			m.elsewhere = append(m.elsewhere, at)
		}
	}
}

// text is what the file should hold.
func (m *memory) text() ([]byte, error) {
	now := announcedFile{Version: announcedVersion, announcedAt: m.announced(), Configuration: m.configuration, Elsewhere: m.elsewhere}
	now.Broker = m.broker
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
	return func() { m.keeper.Close(farewellMost) }
}

// flush sends all that is retained and that the broker does not know.
func (m *memory) flush(client paho.Client) error {
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
		case said.payload == "":
			go m.clearedBy(said, token)
		case said.large:
			go m.readBy(said, client)
		}
	}
}

// flushLast gives the broker a moment to take pictures that wait for each other.
func (m *memory) flushLast(client paho.Client) error {
	const look = 5 * time.Millisecond
	for until := time.Now().Add(farewellMost); ; time.Sleep(look) {
		if err := m.flush(client); err != nil || !m.pictureUnderWay() || time.Now().After(until) {
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

// clearedBy waits until the broker has forgotten a topic. The token ends with the connection at the latest.
func (m *memory) clearedBy(said saying, token paho.Token) {
	<-token.Done()
	if token.Error() == nil {
		m.cleared(said)
	}
}

// readBy waits until the broker has read a picture, which it does not acknowledge: it answers what comes behind that, and to unsubscribe
// from what nobody has subscribed to changes nothing.
func (m *memory) readBy(said saying, client paho.Client) {
	token := client.Unsubscribe(said.topic)
	<-token.Done()
	if token.Error() == nil {
		m.arrived(said)
		nudge(m.wake)
	}
}

// others are the files of devices that do not run now, of the same section and form as the one of that name.
func others(base, name string) []string {
	entries, err := os.ReadDir(filepath.Join(base, "topics"))
	if err != nil {
		return nil // none yet, or a disk that the own file will complain of
	}
	_, ending, _ := strings.Cut(name, ".")
	var found []string
	for _, entry := range entries {
		other, isTopics := strings.CutSuffix(entry.Name(), ".json")
		_, its, _ := strings.Cut(other, ".")
		if isTopics && other != name && its == ending && !state.Held(filepath.Join(base, "outbox", other)) {
			found = append(found, filepath.Join(base, "topics", entry.Name()))
		}
	}
	return slices.Clip(found)
}
