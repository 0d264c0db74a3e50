// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"visavis/capture/internal/waiting"
)

const deviceTopic = "homeassistant/device/visavis_porch/config"

var home = []Place{{Camera: "door", Zones: []string{"step"}, Pictures: true, Privacy: "pixelate", Privacies: []string{"none", "blur"}}, {Camera: "gate"}}

func (b *broker) homeSettings(form string) Settings {
	s := b.settings()
	s.Discovery, s.Version, s.Page, s.Temperature, s.Commands = form, "1.2", "http://porch.local:8080/", true, true
	return s
}

// atHome is a connected publisher that tells Home Assistant of both cameras.
func atHome(t *testing.T, b *broker, form, file string) (*Publisher, func()) {
	t.Helper()
	p := newPublisher(t, b.homeSettings(form))
	p.CommandsTo(func(Command) error { return nil })
	p.RememberIn(file, "")
	p.Expect(home)
	stop := run(t, p)
	waiting.Until(t, "connected", p.Connected)
	return p, stop
}

// toldOf are the entities of a message about the device, "platform key".
func toldOf(t *testing.T, message string) (told, removed []string) {
	t.Helper()
	var read struct{ Components map[string]map[string]any }
	if err := json.Unmarshal([]byte(message), &read); err != nil {
		t.Fatalf("%s: %v", message, err)
	}
	for key, one := range read.Components {
		name := fmt.Sprint(one["platform"], " ", key)
		if len(one) == 1 {
			removed = append(removed, name)
			continue
		}
		told = append(told, name)
	}
	slices.Sort(told)
	slices.Sort(removed)
	return told, removed
}

var everything = []string{
	"binary_sensor door_occupied", "binary_sensor door_zone_step_occupied", "binary_sensor gate_occupied", "binary_sensor slowed", "button door_snapshot",
	"camera door_picture", "image door_last_face", "number door_score", "number gate_score", "select door_privacy", "sensor door_faces",
	"sensor door_fps", "sensor door_latency", "sensor door_zone_step_faces", "sensor gate_faces", "sensor gate_fps", "sensor gate_latency",
	"sensor temperature", "sensor version", "switch door_detect", "switch door_enabled", "switch gate_detect", "switch gate_enabled", "update update",
}

func TestOneMessageTellsOfTheWholeDevice(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	atHome(t, b, "device", filepath.Join(t.TempDir(), "topics.json"))
	seen := b.subscribe()
	waiting.Until(t, "the message is retained", func() bool { return seen.last(deviceTopic) != "" })
	if told, removed := toldOf(t, seen.last(deviceTopic)); !slices.Equal(told, everything) || len(removed) > 0 {
		t.Errorf("told of %q, removed %q", told, removed)
	}
}

func TestWhatDetectionTellsIsAvailableWhileSomebodyLooks(t *testing.T) {
	p := newPublisher(t, Settings{URL: "mqtt://127.0.0.1:1", Prefix: "visavis", Device: "porch", Discovery: "device", Commands: true})
	messages, _ := p.announce(home)
	var told struct {
		Components map[string]struct{ Availability []struct{ Topic string } }
	}
	if err := json.Unmarshal([]byte(messages[deviceTopic]), &told); err != nil {
		t.Fatal(err)
	}
	const device, camera, detecting = "visavis/porch/status", "visavis/porch/door/status", "visavis/porch/door/detecting"
	for key, want := range map[string][]string{
		"door_faces": {device, camera, detecting}, "door_occupied": {device, camera, detecting},
		"door_zone_step_faces": {device, camera, detecting}, "door_zone_step_occupied": {device, camera, detecting},
		"door_picture": {device, camera}, "door_detect": nil, // as the whole device
	} {
		var topics []string
		for _, one := range told.Components[key].Availability {
			topics = append(topics, one.Topic)
		}
		if !slices.Equal(topics, want) {
			t.Errorf("%s is available by %q, want %q", key, topics, want)
		}
	}
}

func TestEachEntityHasAMessageOfItsOwnInTheOtherForm(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	atHome(t, b, "component", filepath.Join(t.TempDir(), "topics.json"))
	seen := b.subscribe()
	for _, name := range everything {
		platform, key, _ := strings.Cut(name, " ")
		waiting.Until(t, name, func() bool { return seen.last("homeassistant/"+platform+"/visavis_porch/"+key+"/config") != "" })
	}
	if seen.last(deviceTopic) != "" {
		t.Error("the message about the device is there, too")
	}
}

func TestNoEntityIsOfferedThatCannotWork(t *testing.T) {
	s := Settings{URL: "mqtt://127.0.0.1:1", Prefix: "visavis", Device: "porch", Discovery: "device"}
	p := newPublisher(t, s)
	p.Expect([]Place{{Camera: "door"}})
	messages, _ := p.announce([]Place{{Camera: "door"}})
	told, _ := toldOf(t, messages[deviceTopic])
	want := []string{"binary_sensor door_occupied", "sensor door_faces", "sensor door_fps", "sensor door_latency", "sensor version", "update update"}
	if !slices.Equal(told, want) {
		t.Errorf("without commands, pictures and a temperature: %q", told)
	}
	if strings.Contains(messages[deviceTopic], "url") {
		t.Error("a page that nobody can reach is told of")
	}
}

// Home Assistant knows no option "none": that word is its own for a state that is not known.
func TestThePrivacyThatIsConfiguredIsAnOptionAndNoneHasAnotherName(t *testing.T) {
	p := newPublisher(t, Settings{URL: "mqtt://127.0.0.1:1", Prefix: "visavis", Device: "porch", Discovery: "device", Commands: true})
	for _, one := range []struct {
		place   Place
		options []string // nil: no such entity
	}{
		{Place{Privacy: "none", Privacies: []string{"blur"}}, []string{"visible", "blur"}},
		{Place{Privacy: "blur", Privacies: []string{"pixelate", "none", "blur"}}, []string{"pixelate", "visible", "blur"}},
		{Place{Privacy: "none"}, nil},
	} {
		var offered []string
		for _, e := range p.controls(one.place) {
			if e.platform == "select" {
				offered = e.body["options"].([]string)
				if e.body["value_template"] != "{{ 'visible' if value == 'none' else value }}" || e.body["command_template"] != "{{ 'none' if value == 'visible' else value }}" {
					t.Errorf("translated by %v and %v", e.body["value_template"], e.body["command_template"])
				}
			}
		}
		if !slices.Equal(offered, one.options) {
			t.Errorf("%+v: offered are %q", one.place, offered)
		}
	}
}

func TestTwoEntitiesNeverHaveOneName(t *testing.T) {
	p := newPublisher(t, Settings{URL: "mqtt://127.0.0.1:1", Prefix: "visavis", Device: "porch", Discovery: "device"})
	entities := p.distinct(p.entities([]Place{{Camera: "a", Zones: []string{"b"}}, {Camera: "a_zone_b"}}))
	keys := map[string]bool{}
	for _, e := range entities {
		if keys[e.key] {
			t.Errorf("%s twice", e.key)
		}
		keys[e.key] = true
	}
}

func TestWhatIsRemovedIsNamedOnceAndThenLeftOut(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	file := filepath.Join(t.TempDir(), "topics.json")
	_, stop := atHome(t, b, "device", file)
	seen := b.subscribe()
	waiting.Until(t, "all is told", func() bool { return seen.last(deviceTopic) != "" })
	stop()
	for range 2 { // the next process removes, the one after that has nothing to remove
		next := newPublisher(t, b.homeSettings("device"))
		next.CommandsTo(func(Command) error { return nil })
		next.RememberIn(file, "")
		next.Expect(home[:1])
		stop := run(t, next)
		waiting.Until(t, "the gate is gone", func() bool {
			told, removed := toldOf(t, seen.last(deviceTopic))
			return len(removed) == 0 && !strings.Contains(strings.Join(told, " "), "gate")
		})
		waiting.Until(t, "its removal is acknowledged", func() bool { return next.states.announced().Components["gate_faces"] == "" })
		stop()
	}
	var removals [][]string
	for _, message := range seen.all(deviceTopic) {
		if _, removed := toldOf(t, message); len(removed) > 0 {
			removals = append(removals, removed)
		}
	}
	want := []string{"binary_sensor gate_occupied", "number gate_score", "sensor gate_faces", "sensor gate_fps", "sensor gate_latency",
		"switch gate_detect", "switch gate_enabled"}
	if len(removals) != 1 || !slices.Equal(removals[0], want) {
		t.Errorf("removed %q, want once %q", removals, want)
	}
}

func TestWhatIsRemovedIsNamedAgainUntilTheBrokerHasHeardIt(t *testing.T) {
	b, line, s := overALine(t)
	s.Discovery = "device"
	p := newPublisher(t, s)
	p.Expect(home)
	run(t, p)
	seen := b.subscribe()
	waiting.Until(t, "all is told", func() bool { return seen.last(deviceTopic) != "" })
	line.lose(true)
	p.Expect(home[:1])
	waiting.Until(t, "both messages are lost on the way", func() bool { return strings.Count(line.lost(), deviceTopic) == 2 })
	if p.states.announced().Components["gate_faces"] == "" {
		t.Error("what the broker may not have heard is forgotten")
	}
	line.lose(false)
	line.let(true)
	waiting.Until(t, "the gate is removed", func() bool {
		for _, message := range seen.all(deviceTopic) {
			if _, removed := toldOf(t, message); slices.Contains(removed, "sensor gate_faces") {
				return true
			}
		}
		return false
	})
	waiting.Until(t, "it is forgotten", func() bool { return p.states.announced().Components["gate_faces"] == "" })
	if told, removed := toldOf(t, seen.last(deviceTopic)); len(removed) > 0 || !slices.Contains(told, "sensor door_faces") {
		t.Errorf("at last it tells of %q and removes %q", told, removed)
	}
}

// The broker acknowledges what it was told before the next message was made: that is no word about the next one.
func TestALateAcknowledgementDoesNotCountForTheNextMessage(t *testing.T) {
	p := newPublisher(t, (&broker{address: "127.0.0.1:1"}).homeSettings("device"))
	says := func() (said []saying) {
		for now, found := p.next(); found; now, found = p.next() {
			if now.topic == deviceTopic {
				said = append(said, now)
			}
		}
		return said
	}
	p.Expect(home)
	first := says()
	p.Expect(home[:1])
	for _, one := range first {
		p.states.acknowledged(one)
	}
	if p.states.announced().Components["gate_faces"] == "" {
		t.Error("what has not been removed is forgotten")
	}
	second := says()
	if len(second) != 2 {
		t.Fatalf("then it says %+v", second)
	}
	if _, removed := toldOf(t, second[0].payload); !slices.Contains(removed, "sensor gate_faces") {
		t.Errorf("it removes %q", removed)
	}
	p.states.acknowledged(second[1])
	if p.states.announced().Components["gate_faces"] != "" {
		t.Error("what is removed is remembered")
	}
}

func TestAMoveToTheOtherFormThatIsLostBeginsAgain(t *testing.T) {
	p := newPublisher(t, (&broker{address: "127.0.0.1:1"}).homeSettings("device"))
	p.Expect(home)
	p.states.pause = 0
	says := func() (said []string) {
		for now, found := p.next(); found; now, found = p.next() {
			if now.topic == deviceTopic {
				said = append(said, now.payload)
			}
		}
		return said
	}
	says()
	p.states.want(nil, deviceTopic)
	for range 2 {
		if said := says(); !slices.Equal(said, []string{migrate, ""}) {
			t.Errorf("a connection says %q", said)
		}
		p.states.connected(true) // another one, for this one has lost both
	}
}

// What moves stays in Home Assistant until it is told of in the other form, which what is gone never is.
func TestAnotherFormRemovesWhatIsGoneBeforeItMovesTheRest(t *testing.T) {
	const gateFaces = "homeassistant/sensor/visavis_porch/gate_faces/config"
	b := &broker{address: "127.0.0.1:1"}
	says := func(form, file string, places []Place) map[string][]string {
		p := newPublisher(t, b.homeSettings(form))
		p.CommandsTo(func(Command) error { return nil })
		p.RememberIn(file, "")
		p.states.pause = 0
		p.Expect(places)
		said := map[string][]string{}
		for now, found := p.next(); found; now, found = p.next() {
			said[now.topic] = append(said[now.topic], now.payload)
		}
		p.keeper.Write()
		return said
	}
	file := filepath.Join(t.TempDir(), "topics.json")
	says("device", file, home)
	device := says("component", file, home[:1])[deviceTopic]
	if len(device) != 3 || !slices.Equal(device[1:], []string{migrate, ""}) {
		t.Fatalf("the message about the device says %q", device)
	}
	if told, removed := toldOf(t, device[0]); len(told) != 0 || !slices.Contains(removed, "sensor gate_faces") || slices.Contains(removed, "sensor door_faces") {
		t.Errorf("first of all it tells of %q and removes %q", told, removed)
	}
	file = filepath.Join(t.TempDir(), "topics.json")
	says("component", file, home)
	back := says("device", file, home[:1])
	if gate, door := back[gateFaces], back[strings.Replace(gateFaces, "gate", "door", 1)]; !slices.Equal(gate, []string{""}) || !slices.Equal(door, []string{migrate, ""}) {
		t.Errorf("an entity that is gone says %q, one that moves %q", gate, door)
	}
}

func TestHomeAssistantIsToldAgainWhenItStarts(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	atHome(t, b, "device", filepath.Join(t.TempDir(), "topics.json"))
	seen, send := b.subscribe(), b.sender()
	waiting.Until(t, "it was told", func() bool { return len(seen.all(deviceTopic)) == 1 })
	send("homeassistant/status", "offline", false)
	began := time.Now()
	for range 100 {
		send("homeassistant/status", "online", false)
	}
	waiting.Until(t, "it is told again", func() bool { return len(seen.all(deviceTopic)) > 1 })
	if told, most := len(seen.all(deviceTopic)), 3+int(time.Since(began)/infoInterval); told > most {
		t.Errorf("told %d times, not %d: whoever says `online` can flood the broker", told, most)
	}
}

// changeOver lets a second process announce in another form, and returns what both said, in order: topic and what kind of payload.
func changeOver(t *testing.T, from, to string) []string {
	t.Helper()
	b := startBroker(t, anybody)
	b.start()
	file := filepath.Join(t.TempDir(), "topics.json")
	_, stop := atHome(t, b, from, file)
	stop()
	seen := b.subscribe()
	waiting.Until(t, "what is retained has come", func() bool { return seen.last(topicStatus) != "" })
	atHome(t, b, to, file)
	topics := map[string]string{"device": deviceTopic, "component": "homeassistant/sensor/visavis_porch/version/config"}
	waiting.Until(t, "the old form is cleared", func() bool { heard := seen.all(topics[from]); return len(heard) > 1 && heard[len(heard)-1] == "" })
	waiting.Until(t, "the new form is told", func() bool { return to == "off" || seen.last(topics[to]) != "" })
	seen.mu.Lock()
	defer seen.mu.Unlock()
	var said []string
	for _, m := range seen.seen {
		if !m.retained && isDiscovery(m.topic) {
			said = append(said, formOf(m.topic)+" "+kind(m.payload))
		}
	}
	return slices.Compact(said)
}

func formOf(topic string) string {
	if isDeviceForm(topic) {
		return "device"
	}
	return "component"
}

func kind(payload string) string {
	switch payload {
	case "":
		return "cleared"
	case migrate:
		return "migrates"
	}
	return "tells"
}

func TestAnotherFormMovesTheEntitiesAsHomeAssistantAsksForIt(t *testing.T) {
	for _, c := range [][2]string{{"device", "component"}, {"component", "device"}} {
		got := changeOver(t, c[0], c[1])
		if want := []string{c[0] + " migrates", c[0] + " cleared", c[1] + " tells"}; !slices.Equal(got, want) {
			t.Errorf("from %s to %s: %q, want %q", c[0], c[1], got, want)
		}
	}
}

func TestTurnedOffEverythingIsCleared(t *testing.T) {
	for _, form := range []string{"device", "component"} {
		if got := changeOver(t, form, "off"); !slices.Equal(got, []string{form + " cleared"}) {
			t.Errorf("%s: %q", form, got)
		}
	}
}

// TestEveryMessageIsAsTheSchemasSay holds the keys against those that Home Assistant knows.
func TestEveryMessageIsAsTheSchemasSay(t *testing.T) {
	for form, file := range map[string]string{"device": "discovery", "component": "component"} {
		schema, err := jsonschema.NewCompiler().Compile("../../../contracts/schemas/" + file + ".schema.json")
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range []string{"", "https://porch.local:8080/"} {
			p := newPublisher(t, Settings{URL: "mqtt://127.0.0.1:1", Prefix: "visavis", Device: "po-rch", Discovery: form, Version: "1",
				Page: page, Temperature: true, Commands: true})
			p.CommandsTo(func(Command) error { return nil })
			messages, _ := p.announce(home)
			for topic, message := range messages {
				value, err := jsonschema.UnmarshalJSON(strings.NewReader(message))
				if err := errors.Join(err, schema.Validate(value)); err != nil {
					t.Errorf("%s: %v", topic, err)
				}
			}
		}
	}
}
