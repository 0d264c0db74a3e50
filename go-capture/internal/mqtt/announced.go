// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"visavis/capture/internal/state"
)

const (
	announcedBytes   = 1 << 20
	announcedVersion = 1
	rememberRetry    = 5 * time.Second
)

// Place is a camera with its zones.
type Place struct {
	Camera   string
	Zones    []string
	Lines    []string
	Pictures bool // snapshots may be retained

	Privacies []string // that may be commanded
}

// announcedFile is what remembers topics, so that the next process can clear those that are no longer there.
type announcedFile struct {
	Version int      `json:"version"`
	Topics  []string `json:"topics"`

	Components map[string]string `json:"components,omitempty"` // platforms of Home Assistant's entities by key
}

// ours is the form of the topics that we retain, discovery that of those for Home Assistant. Whatever the file holds, nothing else is
// ever cleared.
var ours = regexp.MustCompile(`^[a-z0-9_-]{1,64}(/[a-z0-9_-]{1,64}){1,4}/(status|info|faces|occupied|snapshot|last_face|state/(detect|enabled|privacy|score))$`)

var discovery = regexp.MustCompile(`^homeassistant/` +
	`(device|sensor|binary_sensor|update|camera|image|switch|number|select|button)/visavis_[a-z0-9_-]{1,64}(/[a-z0-9_-]{1,128})?/config$`)

// RememberIn names the file that remembers which topics were announced, and reads what an earlier process did. Call it before Run.
// A file that cannot be read only costs that old topics stay.
func (p *Publisher) RememberIn(path string) {
	p.memory = path
	read, err := readAnnounced(path)
	if err != nil {
		slog.Warn("topics of removed cameras may stay at the broker", "file", path, "error", err)
	}
	p.states.recall(read)
}

// Expect says which cameras and zones there are from now on. What is retained about others is cleared at the broker.
func (p *Publisher) Expect(places []Place) {
	prefix, device := p.settings.Prefix, p.settings.Device
	topics := []string{StatusTopic(prefix, device), InfoTopic(prefix, device)}
	for _, place := range places {
		c := place.Camera
		topics = append(topics, CameraStatusTopic(prefix, device, c), FacesTopic(prefix, device, c), OccupiedTopic(prefix, device, c))
		for _, name := range []string{"enabled", "detect", "privacy", "score"} {
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
	p.states.want(slices.AppendSeq(topics, maps.Keys(messages)))
	p.tellHome(messages, components)
	p.nudge()
}

// tellHome keeps what Home Assistant is told.
func (p *Publisher) tellHome(messages, components map[string]string) {
	for _, topic := range slices.Sorted(maps.Keys(messages)) {
		if !isDeviceForm(topic) {
			p.states.set(topic, messages[topic], false)
			continue
		}
		removing := withRemoved(messages[topic], p.states.removed(components))
		p.states.setDevice(topic, removing, afterwards{messages[topic], components})
	}
}

// cleared waits until the broker has forgotten a topic. The token ends with the connection at the latest.
func (p *Publisher) cleared(topic string, token paho.Token) {
	<-token.Done()
	if token.Error() == nil {
		p.states.cleared(topic)
	}
}

// remember keeps the file in step until the returned function is called, beside everything else: a disk that hangs holds up nothing.
func (p *Publisher) remember(ctx context.Context) (stop func()) {
	if p.memory == "" {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.keepRemembering(ctx)
	}()
	return func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(farewellMost):
		}
	}
}

func (p *Publisher) keepRemembering(ctx context.Context) {
	var written announcedFile
	said := false
	for {
		var retry <-chan time.Time
		if now := p.states.announced(); !reflect.DeepEqual(now, written) {
			if err := writeAnnounced(p.memory, now); err == nil {
				written, said = now, false
			} else {
				retry = time.After(rememberRetry)
				if !said {
					slog.Warn("topics are not remembered, those of removed cameras may stay at the broker", "file", p.memory, "error", err)
				}
				said = true
			}
		}
		if ctx.Err() != nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-p.states.changed:
		case <-retry:
		}
	}
}

func readAnnounced(path string) (announcedFile, error) {
	raw, err := state.Read(path, announcedBytes)
	if err != nil || raw == nil {
		return announcedFile{}, err
	}
	return parseAnnounced(raw)
}

func parseAnnounced(raw []byte) (announcedFile, error) {
	var read announcedFile
	if err := json.Unmarshal(raw, &read); err != nil {
		return announcedFile{}, fmt.Errorf("damaged: %w", err)
	}
	if read.Version != announcedVersion {
		return announcedFile{}, fmt.Errorf("version %d, this program knows %d", read.Version, announcedVersion)
	}
	read.Topics = slices.DeleteFunc(read.Topics, func(topic string) bool { return !ours.MatchString(topic) && !discovery.MatchString(topic) })
	maps.DeleteFunc(read.Components, func(key, platform string) bool {
		return !discovery.MatchString("homeassistant/" + platform + "/visavis_d/" + key + "/config")
	})
	return read, nil
}

// writeAnnounced replaces the file as a whole.
func writeAnnounced(path string, now announcedFile) error {
	raw, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return state.Replace(path, append(raw, '\n'))
}
