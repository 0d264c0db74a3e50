// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"visavis/capture/internal/control"
	"visavis/capture/internal/event"
	"visavis/capture/internal/hub"
)

const (
	frigateForm     = "frigate"
	frigateFace     = "face" // Frigate's label for what we find
	frigateAll      = "all"
	frigateInterval = time.Minute // of the figures, as Frigate has it
)

// Frigate tells a broker the same as a Publisher in the topics, keys and units of Frigate, for what people have built around that.
type Frigate struct {
	*link
	*memory         // of pictures, and of whether it is there
	newest  *newest // of the counts
	begun   time.Time

	mu      sync.Mutex
	faces   *frigateFaces
	zones   map[string]map[string]int // faces in each zone, by camera: zones of one name are one
	cameras map[string]bool           // whether pictures may be sent
	modes   map[string]frigateMode
}

// frigateMode is what a camera does, and what its owner wants it to.
type frigateMode struct{ online, disabled, blind bool }

// word is Frigate's: what was turned off is not broken.
func (m frigateMode) word() string {
	if m.disabled {
		return "disabled"
	}
	return presence(m.online)
}

// NewFrigate checks the settings; it does not connect.
func NewFrigate(s Settings) (*Frigate, error) {
	l, err := newLink(s, frigateForm)
	if err != nil {
		return nil, err
	}
	f := &Frigate{
		link: l, memory: newMemory(l, s.FrigatePrefix), newest: newNewest(), begun: time.Now(), faces: newFrigateFaces(),
		zones: map[string]map[string]int{}, cameras: map[string]bool{}, modes: map[string]frigateMode{},
	}
	f.states.set(FrigateAvailableTopic(f.prefix()), "online", false)
	return f, nil
}

// Take implements hub.Leaf.
func (f *Frigate) Take(r *hub.Result) {
	f.mu.Lock()
	messages := f.faces.see(r)
	f.mu.Unlock()
	f.keepMessages(messages)
}

// TakeEvent implements hub.EventTaker.
func (f *Frigate) TakeEvent(e event.Event) {
	f.mu.Lock()
	messages := f.faces.hear(e, f.cameras[e.Camera])
	f.mu.Unlock()
	f.keepMessages(messages)
}

func (f *Frigate) keepMessages(messages []frigateMessage) {
	for _, m := range messages {
		if err := f.keepEvent(FrigateEventsTopic(f.prefix()), m); err != nil {
			slog.Error("event not kept in Frigate's form", "camera", m.After.Camera, "error", err)
		}
	}
}

func (f *Frigate) prefix() string { return f.settings.FrigatePrefix }

// TakeState implements hub.StateTaker.
func (f *Frigate) TakeState(s hub.State) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.Zone == "" {
		f.count(s.Camera, s.Confirmed)
		return
	}
	if f.zones[s.Zone] == nil {
		f.zones[s.Zone] = map[string]int{}
	}
	f.zones[s.Zone][s.Camera] = s.Confirmed
	f.countZone(s.Zone)
}

// countZone tells how many are in a zone, whichever camera sees them. A zone called as a camera is not told: Frigate has one level for both.
func (f *Frigate) countZone(zone string) {
	if _, isCamera := f.cameras[zone]; isCamera {
		return
	}
	sum := 0
	for _, faces := range f.zones[zone] {
		sum += faces
	}
	f.count(zone, sum)
}

func (f *Frigate) count(place string, faces int) {
	for _, label := range []string{frigateFace, frigateAll} {
		f.newest.set(FrigateCountTopic(f.prefix(), place, label), strconv.Itoa(faces))
		f.newest.set(FrigateActiveTopic(f.prefix(), place, label), strconv.Itoa(faces))
	}
	nudge(f.wake)
}

// TakeDetecting implements hub.DetectingTaker. Frigate has no word for it.
func (f *Frigate) TakeDetecting(string, bool) {}

// SetCameraStatus tells whether a camera delivers.
func (f *Frigate) SetCameraStatus(id string, online bool) {
	f.change(id, func(m *frigateMode) { m.online = online })
}

// SetState tells how one thing of a camera is set.
func (f *Frigate) SetState(camera, name, value string) {
	switch name {
	case control.Enabled:
		f.change(camera, func(m *frigateMode) { m.disabled = value == control.Off })
	case control.Detect:
		f.change(camera, func(m *frigateMode) { m.blind = value == control.Off })
	}
}

func (f *Frigate) change(camera string, do func(*frigateMode)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	mode := f.modes[camera]
	do(&mode)
	f.modes[camera] = mode
	f.newest.set(FrigateCameraStatusTopic(f.prefix(), camera), mode.word())
	nudge(f.wake)
}

// Expect says which cameras and zones there are from now on. The last picture of one that is gone is taken back.
func (f *Frigate) Expect(places []Place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cameras = map[string]bool{}
	kept, topics := map[string]bool{}, []string{FrigateAvailableTopic(f.prefix())}
	for _, place := range places {
		f.cameras[place.Camera] = place.Pictures
		if place.Pictures {
			topics = append(topics, FrigateSnapshotTopic(f.prefix(), place.Camera))
		}
		kept[place.Camera] = true
		for _, zone := range place.Zones {
			kept[zone] = true
		}
	}
	f.newest.keep(func(topic string) bool { return kept[strings.Split(topic, "/")[1]] })
	f.states.want(topics)
	for _, byCamera := range f.zones {
		for camera := range byCamera {
			if _, stays := f.cameras[camera]; !stays {
				delete(byCamera, camera)
			}
		}
	}
	maps.DeleteFunc(f.modes, func(camera string, _ frigateMode) bool { return !kept[camera] })
	nudge(f.wake)
}

// Run keeps a connection until ctx ends, then says `stopped`.
func (f *Frigate) Run(ctx context.Context) error {
	defer f.remember()()
	return f.keep(ctx, f.session)
}

func (f *Frigate) session(ctx context.Context, reached func()) (failed error) {
	gone := make(chan error, 2) // nobody waits: paho says it once, the events once
	client, err := f.connect(ctx, f.will(), gone)
	if err != nil {
		return err
	}
	defer func() { client.end(failed == nil) }()
	reached()
	f.newest.again()
	f.states.connected(true)
	f.setOnline(true)
	defer f.setOnline(false)
	if err := f.memory.flush(client); err != nil { // that it is there comes first
		return err
	}
	defer f.deliverEvents(context.WithoutCancel(ctx), client, gone)() // what happened last goes out, too
	figures := time.NewTicker(frigateInterval)
	defer figures.Stop()
	if err := f.sendStats(client); err != nil {
		return err
	}
	for {
		if err := f.flush(client); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return f.leave(client)
		case err := <-gone:
			return fmt.Errorf("connection to %s lost: %w", f.settings.URL, err)
		case <-figures.C:
			if err := f.sendStats(client); err != nil {
				return err
			}
		case <-f.wake:
		}
	}
}

func (f *Frigate) will() will { return f.available("offline") }

// available is what is told of whether we are there.
func (f *Frigate) available(word string) will {
	return will{FrigateAvailableTopic(f.prefix()), []byte(word), FrigateAvailableDelivery}
}

// flush sends what is retained, then the counts.
func (f *Frigate) flush(client paho.Client) error {
	if err := f.memory.flush(client); err != nil {
		return err
	}
	for {
		topic, payload, found := f.newest.next()
		if !found {
			return nil
		}
		if err := failure(client.Publish(topic, FrigateCountDelivery.QoS, FrigateCountDelivery.Retain, payload)); err != nil {
			return fmt.Errorf("publish %s: %w", topic, err)
		}
	}
}

func (f *Frigate) leave(client paho.Client) error {
	if err := errors.Join(f.memory.flushLast(client), f.flush(client)); err != nil {
		return err
	}
	f.waitForEvents()
	return farewell(client, f.available("stopped"))
}
