// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"visavis/capture/internal/brokeraddress"
	"visavis/capture/internal/control"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/state"
)

const (
	announcedBytes   = 1 << 20
	announcedVersion = 1
	elsewhereMost    = 4 // brokers that are not used now and may be again
)

// Place is a camera with its zones.
type Place struct {
	Camera   string
	Zones    []string
	Lines    []string
	Pictures bool // snapshots may be retained

	Privacy   string   // as configured
	Privacies []string // that may be commanded
}

// announcedFile is what remembers topics, so that the next process can clear those that are no longer there.
type announcedFile struct {
	Version int `json:"version"`
	announcedAt

	Configuration string        `json:"configuration,omitempty"` // the file by whose device.id these topics are called
	Elsewhere     []announcedAt `json:"elsewhere,omitempty"`     // at brokers of before
}

// announcedAt is what may stand retained at one broker.
type announcedAt struct {
	Broker    string   `json:"broker,omitempty"`     // "": the one that is used now
	ClearedAt string   `json:"cleared_at,omitempty"` // another one of the same host, which has taken all of it over
	Topics    []string `json:"topics"`
	Plain     []string `json:"plain,omitempty"` // of these, pictures that show faces

	Components map[string]string `json:"components,omitempty"` // platforms of Home Assistant's entities by key
}

// ours is the form of the topics that we retain, ofFrigate that of those in Frigate's form, discovery that of those for Home Assistant.
// Whatever the file holds, nothing else is ever cleared.
var ours = regexp.MustCompile(`^[a-z0-9_-]{1,64}(/[a-z0-9_-]{1,64}){1,4}/(status|info|detecting|faces|occupied|snapshot|last_face|state/(detect|enabled|privacy|score))$`)

var ofFrigate = regexp.MustCompile(`^[a-z0-9_-]{1,32}/(available|[a-z0-9_-]{1,32}/face/snapshot)$`)

var discovery = regexp.MustCompile(`^homeassistant/` +
	`(device|sensor|binary_sensor|update|camera|image|switch|number|select|button)/visavis_[a-z0-9_-]{1,64}(/[a-z0-9_-]{1,128})?/config$`)

// Expect says which cameras and zones there are from now on. What is retained about others is cleared at the broker.
func (p *Publisher) Expect(places []Place) {
	prefix, device := p.settings.Prefix, p.settings.Device
	topics := []string{StatusTopic(prefix, device), InfoTopic(prefix, device)}
	for _, place := range places {
		c := place.Camera
		topics = append(topics, CameraStatusTopic(prefix, device, c), DetectingTopic(prefix, device, c), FacesTopic(prefix, device, c),
			OccupiedTopic(prefix, device, c))
		for _, name := range control.States {
			topics = append(topics, StateTopic(prefix, device, c, name))
		}
		if place.Pictures {
			topics = append(topics, SnapshotTopic(prefix, device, c), LastFaceTopic(prefix, device, c))
		}
		for _, z := range place.Zones {
			topics = append(topics, ZoneFacesTopic(prefix, device, c, z), ZoneOccupiedTopic(prefix, device, c, z))
		}
	}
	messages, components := p.announce(places)
	p.states.want(slices.AppendSeq(topics, maps.Keys(messages)), p.moving(components)...)
	p.beginWith(places)
	p.tellHome(messages, components)
	p.nudge()
}

// beginWith says of each camera that is heard of for the first time that nobody has seen anything: what stands at the broker of it is of
// an earlier process, which may have been killed while somebody was there.
func (p *Publisher) beginWith(places []Place) {
	for _, place := range places {
		p.states.set(CameraStatusTopic(p.settings.Prefix, p.settings.Device, place.Camera), presence(false), true)
		for _, zone := range append([]string{""}, place.Zones...) {
			p.setState(hub.State{Camera: place.Camera, Zone: zone}, true)
		}
	}
}

// tellHome keeps what Home Assistant is told. What is gone is removed before the rest moves to the other form: it stays what it is until
// it is told of there, which what is gone never is.
func (p *Publisher) tellHome(messages, components map[string]string) {
	if removed := p.states.removed(components); p.settings.Discovery == discoverComponent && len(removed) > 0 {
		p.states.removeFirst(DiscoveryDeviceTopic(p.settings.Device), withRemoved(p.deviceMessage(nil), removed))
	}
	for _, topic := range slices.Sorted(maps.Keys(messages)) {
		if !isDeviceForm(topic) {
			p.states.set(topic, messages[topic], false)
			continue
		}
		removing := withRemoved(messages[topic], p.states.removed(components))
		p.states.setDevice(topic, removing, messages[topic], components)
	}
}

func readAnnounced(path string) (read announcedFile, own string, err error) {
	raw, own, err := state.ReadOwn(path, announcedBytes, announcedVersion)
	read, damage := parseAnnounced(raw)
	return read, own, errors.Join(err, damage)
}

// parseAnnounced reads what a file holds, which is nothing when there is none.
func parseAnnounced(raw []byte) (announcedFile, error) {
	if raw == nil {
		return announcedFile{}, nil
	}
	var read announcedFile
	if err := json.Unmarshal(raw, &read); err != nil {
		return announcedFile{}, fmt.Errorf("damaged: %w", err)
	}
	read.keepOurs()
	for i := range read.Elsewhere {
		read.Elsewhere[i].keepOurs()
	}
	return read, nil
}

// only are the topics for which this holds; who has those for Home Assistant has what they told.
func (a announcedFile) only(which func(topic string) bool) announcedFile {
	part := a
	part.announcedAt, part.Elsewhere = a.announcedAt.only(which), nil
	for _, at := range a.Elsewhere {
		part.Elsewhere = append(part.Elsewhere, at.only(which))
	}
	return part
}

func (a announcedAt) only(which func(topic string) bool) announcedAt {
	not := func(topic string) bool { return !which(topic) }
	a.Topics, a.Plain = slices.DeleteFunc(slices.Clone(a.Topics), not), slices.DeleteFunc(slices.Clone(a.Plain), not)
	if !slices.ContainsFunc(a.Topics, isDiscovery) {
		a.Components = nil
	}
	return a
}

// isAt tells that it stands, or may stand, at this broker. Another port of the same host may be the same broker, unless another one there
// has taken all of it over.
func (a announcedAt) isAt(broker brokeraddress.Place) bool {
	before := brokeraddress.Of(a.Broker)
	return before == broker || (before.Host == broker.Host && a.ClearedAt == "")
}

// keepOurs drops whatever we never retain.
func (a *announcedAt) keepOurs() {
	foreign := func(topic string) bool {
		return !ours.MatchString(topic) && !discovery.MatchString(topic) && !ofFrigate.MatchString(topic)
	}
	a.Topics, a.Plain = slices.DeleteFunc(a.Topics, foreign), slices.DeleteFunc(a.Plain, foreign)
	maps.DeleteFunc(a.Components, func(key, platform string) bool {
		return !discovery.MatchString("homeassistant/" + platform + "/visavis_d/" + key + "/config")
	})
}
