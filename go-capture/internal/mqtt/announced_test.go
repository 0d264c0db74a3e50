// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"visavis/capture/internal/hub"
	"visavis/capture/internal/waiting"
)

const door, gate = "visavis/porch/door/", "visavis/porch/gate/"

var both = []Place{{Camera: "door", Zones: []string{"step"}}, {Camera: "gate"}}

// remembering is a publisher that remembers its topics in a file.
func remembering(t *testing.T, s Settings, file string) *Publisher {
	t.Helper()
	p := newPublisher(t, s)
	p.RememberIn(file, "")
	return p
}

// tellAll sets every state of both cameras.
func tellAll(p *Publisher) {
	for _, place := range both {
		p.SetCameraStatus(place.Camera, true)
		p.TakeState(hub.State{Camera: place.Camera, Confirmed: 2, Occupied: true})
		for _, z := range place.Zones {
			p.TakeState(hub.State{Camera: place.Camera, Zone: z, Confirmed: 1, Occupied: true})
		}
	}
}

// retained is what the broker tells somebody who comes now, below a device.
func (b *broker) retained(t *testing.T, marker *Publisher) map[string]string {
	t.Helper()
	seen := b.subscribe()
	waiting.Until(t, "retained messages", func() bool { return seen.last(topicStatus) != "" })
	marker.TakeState(hub.State{Camera: "marker"}) // comes behind all that was retained
	waiting.Until(t, "the marker", func() bool { return seen.last("visavis/porch/marker/faces") != "" })
	seen.mu.Lock()
	defer seen.mu.Unlock()
	found := map[string]string{}
	for _, m := range seen.seen {
		if m.retained {
			found[strings.TrimPrefix(m.topic, "visavis/porch/")] = m.payload
		}
	}
	return found
}

func TestTopicsOfWhatIsRemovedSayTheirLastWordsAndAreCleared(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	p := remembering(t, b.settings(), filepath.Join(t.TempDir(), "topics.json"))
	p.Expect(both)
	run(t, p)
	tellAll(p)
	seen := b.subscribe()
	waiting.Until(t, "both are there", func() bool { return seen.last(gate+"occupied") == "ON" && seen.last(door+"zone/step/faces") == "1" })
	p.Expect([]Place{{Camera: "door"}})
	for topic, words := range map[string]string{gate + "status": "offline", gate + "detecting": "offline", gate + "faces": "0", gate + "occupied": "OFF",
		door + "zone/step/faces": "0", door + "zone/step/occupied": "OFF"} {
		waiting.Until(t, topic+" is cleared", func() bool {
			heard := seen.all(topic)
			return len(heard) >= 2 && slices.Equal(heard[len(heard)-2:], []string{words, ""})
		})
	}
	tellAll(p) // what still comes of a removed camera is not told
	waiting.Until(t, "only the door is remembered", func() bool { return len(p.states.announced().Topics) == 5 })
	p.states.mu.Lock()
	p.states.wanted = nil // for the marker
	p.states.mu.Unlock()
	got := b.retained(t, p)
	if want := map[string]string{"status": "online", "door/status": "online", "door/detecting": "offline", "door/faces": "2", "door/occupied": "ON"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("retained are %v, want %v", got, want)
	}
}

func TestWhatIsRemovedWhileTheDaemonIsAwayIsClearedAtTheNextStart(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	file := filepath.Join(t.TempDir(), "sub", "topics.json")
	p := remembering(t, b.settings(), file)
	p.Expect(both)
	stop := run(t, p)
	tellAll(p)
	seen := b.subscribe()
	waiting.Until(t, "both are there", func() bool { return seen.last(gate+"occupied") == "ON" && seen.last(door+"zone/step/faces") == "1" })
	stop()
	next := remembering(t, b.settings(), file)
	next.Expect([]Place{{Camera: "door"}})
	run(t, next)
	for _, topic := range []string{gate + "status", gate + "detecting", gate + "faces", gate + "occupied", door + "zone/step/faces", door + "zone/step/occupied"} {
		waiting.Until(t, topic+" is cleared", func() bool { heard := seen.all(topic); return heard[len(heard)-1] == "" })
	}
	waiting.Until(t, "it is forgotten", func() bool { return len(next.states.announced().Topics) == 5 }) // the device's status, and the door's topics
}

func TestAPictureOfAnEarlierRunIsClearedWithItsCamera(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	file, shown := filepath.Join(t.TempDir(), "topics.json"), []Place{{Camera: "door", Pictures: true}}
	p := remembering(t, b.settings(), file)
	p.Expect(shown)
	stop := run(t, p)
	p.SetLastFace("door", Picture{JPEG: []byte("jpeg")})
	seen := b.subscribe()
	waiting.Until(t, "the picture is there", func() bool { return seen.last(door+"last_face") == "jpeg" })
	stop()
	quiet := remembering(t, b.settings(), file) // nobody appears
	quiet.Expect(shown)
	run(t, quiet)()
	next := remembering(t, b.settings(), file)
	next.Expect(nil)
	run(t, next)
	waiting.Until(t, "it is cleared", func() bool { return seen.last(door+"last_face") == "" })
	waiting.Until(t, "it is forgotten", func() bool { return len(next.states.announced().Topics) == 1 })
}

func TestACameraThatComesBackIsRetainedAgain(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	p := newPublisher(t, b.settings())
	run(t, p)
	seen := b.subscribe()
	for range 5 {
		p.Expect(both)
		tellAll(p)
		p.Expect(nil)
	}
	p.Expect(both)
	tellAll(p)
	waiting.Until(t, "it is online", func() bool { return seen.last(gate+"status") == "online" && seen.last(gate+"faces") == "2" })
	waiting.Until(t, "all that is there is remembered", func() bool { return len(p.states.announced().Topics) == 11 })
}

func TestAnotherPrefixClearsTheOldOne(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	file := filepath.Join(t.TempDir(), "topics.json")
	s := b.settings()
	p := remembering(t, s, file)
	p.Expect(nil)
	stop := run(t, p)
	waiting.Until(t, "connected", p.Connected)
	stop()
	seen := b.subscribe()
	s.Prefix = "house"
	next := remembering(t, s, file)
	next.Expect(nil)
	run(t, next)
	waiting.Until(t, "the old status is cleared", func() bool { heard := seen.all(topicStatus); return len(heard) > 0 && heard[len(heard)-1] == "" })
}

func TestAFileOfTopicsThatIsDamagedCostsNothingElse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "topics.json")
	for _, text := range []string{"", "{", `{"version":7,"topics":["visavis/porch/door/faces"]}`, `[]`,
		`{"version":1,"topics":["visavis/porch/door/detections","homeassistant/status","a/status","#","visavis/+/status","visavis/porch/../x y/status"]}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p := newPublisher(t, Settings{URL: "mqtt://127.0.0.1:1", Prefix: "visavis", Device: "porch"})
		p.RememberIn(file, "")
		if got := p.states.announced().Topics; len(got) != 1 {
			t.Errorf("%s: %v", text, got)
		}
	}
}

var lastLevels = []string{"status", "info", "faces", "occupied", "snapshot", "last_face", "enabled", "detect", "privacy", "score", "config", "available"}

// FuzzAnnounced holds that no file makes us publish outside topics of our own form.
func FuzzAnnounced(f *testing.F) {
	f.Add([]byte(`{"version":1,"topics":["visavis/porch/door/faces"]}`))
	f.Add([]byte(`{"version":1,"topics":["homeassistant/device/visavis_porch/config"],"components":{"door_faces":"sensor","a/b":"sensor","c":"#"}}`))
	f.Add([]byte(`{"version":1,"topics":["frigate/available","frigate/door/face/snapshot"],"broker":"tcp://a:1",` +
		`"elsewhere":[{"broker":"tcp://b:1","topics":["visavis/porch/status","a/#"],"components":{"#":"sensor"}}]}`))
	f.Add([]byte(`{"version":1,"topics":["visavis/#/status","` + strings.Repeat("a/", 99) + `status"]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		read, _ := parseAnnounced(raw)
		for _, at := range append(read.Elsewhere, read.announcedAt) {
			onlyOurs(t, at)
		}
	})
}

func onlyOurs(t *testing.T, at announcedAt) {
	t.Helper()
	for _, topic := range at.Topics {
		if strings.ContainsAny(topic, "#+$ \x00") || strings.HasPrefix(topic, "/") || !slices.Contains(lastLevels, filepath.Base(topic)) {
			t.Errorf("%q", topic)
		}
	}
	for key, platform := range at.Components {
		if strings.ContainsAny(key+platform, "#+$/ \"\x00") {
			t.Errorf("%q %q", platform, key)
		}
	}
}
