// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"strings"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// How Home Assistant is told.
const (
	discoverDevice    = "device"    // one message for all entities
	discoverComponent = "component" // one message for each entity, which releases before 2024.11 need
)

const homeAssistant = "homeassistant" // first level of what is read by Home Assistant alone

// migrate tells Home Assistant that the entities behind a topic are announced in the other form from now on, and stay what they are.
const migrate = `{"migrate_discovery":true}`

// announce are the retained messages by which Home Assistant knows the device, and the platforms of its entities by key; none when it is
// not to be told.
func (p *Publisher) announce(places []Place) (messages, components map[string]string) {
	if p.settings.Discovery != discoverDevice && p.settings.Discovery != discoverComponent {
		return nil, nil
	}
	entities := p.distinct(p.entities(places))
	messages, components = map[string]string{}, map[string]string{}
	for _, e := range entities {
		components[e.key] = e.platform
		if p.settings.Discovery == discoverComponent {
			messages[DiscoveryComponentTopic(e.platform, p.settings.Device, e.key)] = p.componentMessage(e)
		}
	}
	if p.settings.Discovery == discoverDevice {
		messages[DiscoveryDeviceTopic(p.settings.Device)] = p.deviceMessage(entities)
	}
	return messages, components
}

// moving are the topics of the other form whose entities are announced in this one.
func (p *Publisher) moving(components map[string]string) (topics []string) {
	switch p.settings.Discovery {
	case discoverComponent:
		return []string{DiscoveryDeviceTopic(p.settings.Device)}
	case discoverDevice:
		for key, platform := range components {
			topics = append(topics, DiscoveryComponentTopic(platform, p.settings.Device, key))
		}
	}
	return topics
}

// distinct leaves out an entity whose key is taken: camera `a_zone_b` and zone `b` of camera `a` write themselves alike.
func (p *Publisher) distinct(entities []entity) []entity {
	taken, kept := map[string]bool{}, []entity{}
	for _, e := range entities {
		if taken[e.key] {
			slog.Warn("not announced to Home Assistant, another entity has that name: rename the camera or the zone", "entity", e.key)
			continue
		}
		taken[e.key] = true
		kept = append(kept, e)
	}
	return kept
}

func (p *Publisher) deviceMessage(entities []entity) string {
	components := map[string]any{}
	for _, e := range entities {
		e.body["platform"] = e.platform
		components[e.key] = e.body
	}
	return p.message(map[string]any{"components": components})
}

func (p *Publisher) componentMessage(e entity) string {
	return p.message(e.body)
}

// message adds what all entities share, where they do not say it themselves.
func (p *Publisher) message(body map[string]any) string {
	shared := map[string]any{
		"device": p.deviceBlock(), "origin": p.origin(), "availability": p.availability(), "availability_mode": "all", "qos": SetDelivery.QoS,
	}
	maps.Copy(shared, body)
	text, err := json.Marshal(shared)
	if err != nil {
		panic(err) // strings, numbers, lists and maps of them
	}
	return string(text)
}

func (p *Publisher) deviceBlock() map[string]any {
	block := map[string]any{
		"identifiers": []string{"visavis_" + p.settings.Device}, "name": p.settings.Device, "manufacturer": "visavis", "model": "visavis",
		"sw_version": p.settings.Version,
	}
	if p.settings.Page != "" {
		block["configuration_url"] = p.settings.Page
	}
	return block
}

// origin says who announces. Help stands on the device's own page, if others can reach it.
func (p *Publisher) origin() map[string]any {
	origin := map[string]any{"name": "visavis", "sw_version": p.settings.Version}
	if p.settings.Page != "" {
		origin["support_url"] = p.settings.Page
	}
	return origin
}

// withRemoved is a message about the device that also names what the device has no more: Home Assistant removes an entity of which
// only the platform is told.
func withRemoved(message string, removed map[string]string) string {
	if len(removed) == 0 {
		return message
	}
	read := map[string]json.RawMessage{}
	components := map[string]json.RawMessage{}
	err := errors.Join(json.Unmarshal([]byte(message), &read), json.Unmarshal(read["components"], &components))
	for key, platform := range removed {
		if components[key] == nil {
			components[key] = json.RawMessage(`{"platform":"` + platform + `"}`)
		}
	}
	var text []byte
	if err == nil {
		read["components"], err = json.Marshal(components)
	}
	if err == nil {
		text, err = json.Marshal(read)
	}
	if err != nil {
		panic(err) // deviceMessage wrote it
	}
	return string(text)
}

// isDiscovery tells whether a topic is read by Home Assistant alone.
func isDiscovery(topic string) bool { return strings.HasPrefix(topic, homeAssistant+"/") }

// isDeviceForm tells whether a topic of discovery is that of the whole device.
func isDeviceForm(topic string) bool { return strings.HasPrefix(topic, homeAssistant+"/device/") }

// watchHome tells everything again when Home Assistant has started.
func (p *Publisher) watchHome(client paho.Client) {
	if p.settings.Discovery != discoverDevice && p.settings.Discovery != discoverComponent {
		return
	}
	topic := HomeAssistantStatusTopic()
	token := client.Subscribe(topic, HomeAssistantStatusDelivery.QoS, func(_ paho.Client, m paho.Message) {
		if string(m.Payload()) == "online" {
			p.born.Store(true) // looked at each second: however often somebody says it, no more than that is sent
		}
	})
	go p.settings.warnIfRefused(token, topic,
		"the broker does not let this device hear when Home Assistant starts, which then may miss entities: allow it in its access list")
}

// welcomeHome makes discovery due again if Home Assistant has started since the last call, or has had to move entities.
func (p *Publisher) welcomeHome() {
	if born, moved := p.born.Swap(false), p.states.repeats(); born || moved {
		p.states.again(isDiscovery)
	}
}
