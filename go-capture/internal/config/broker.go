// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"slices"
	"strings"

	"visavis/capture/internal/brokeraddress"
	"visavis/capture/internal/secretfile"
)

// ManagedBroker is where `visavis run` and the Debian package keep the broker of our own.
const ManagedBroker = "mqtt://127.0.0.1:1883"

// Brokers are the sections of the brokers that are used, by their names.
func (c *Config) Brokers() []Broker {
	var used []Broker
	for _, one := range []Broker{{"mqtt", c.MQTT}, {"mqtt_second", MQTT(c.MQTTSecond)}} {
		if one.URL != "" {
			used = append(used, one)
		}
	}
	return used
}

// Broker is a section of the file that names a broker.
type Broker struct {
	Section string
	MQTT
}

func (r *reader) checkBrokers(c *Config) {
	r.checkBroker("mqtt.", c.MQTT)
	r.checkBroker("mqtt_second.", MQTT(c.MQTTSecond))
	switch second := c.MQTTSecond.URL; {
	case second == "managed":
		r.blame("mqtt_second.url", `"managed" is possible only in mqtt.url`, "set mqtt.url to \"managed\" and write the address of the other one here")
	case second != "" && brokerAt(second) == brokerAt(c.MQTT.URL):
		r.blame("mqtt_second.url", "is the broker of mqtt.url, which would get everything twice", "remove one of them")
	}
}

// checkBroker checks a section whose keys begin with at.
func (r *reader) checkBroker(at string, m MQTT) {
	r.checkForms(at, m)
	r.checkPair(at+"password_file", m.PasswordFile, at+"user", m.User)
	r.checkSecret(at+"password_file", m.PasswordFile, secretfile.Needed)
	r.checkPair(at+"cert", m.Cert, at+"key", m.Key)
	r.checkPair(at+"key", m.Key, at+"cert", m.Cert)
	if strings.HasPrefix(m.URL, "mqtts://") || strings.HasPrefix(m.URL, "wss://") {
		return
	}
	for _, file := range [][2]string{{"ca", m.CA}, {"cert", m.Cert}, {"key", m.Key}} {
		if file[1] != "" {
			r.blame(at+file[0], "has no use without an encrypted connection", "let "+at+"url begin with mqtts:// or wss://")
		}
	}
}

// checkForms checks that there is one, and that two can be told apart: a camera that is called as the device would get its topics.
func (r *reader) checkForms(at string, m MQTT) {
	if len(m.Formats) == 0 {
		r.blame(at+"formats", "is empty, so that nothing would be told", "write [\"native\"], or \"\" into "+at+"url for no broker")
	}
	if m.Prefix != m.FrigatePrefix || !slices.Contains(m.Formats, "native") || !slices.Contains(m.Formats, "frigate") {
		return
	}
	key, other := at+"frigate_prefix", at+"prefix"
	if r.written(key, other) == other {
		key, other = other, key
	}
	r.blame(key, fmt.Sprintf("%q is that of %s too, so that topics of both forms would mix", m.Prefix, other), "write another one here or there")
}

func brokerAt(url string) brokeraddress.Place {
	if url == "managed" {
		url = ManagedBroker
	}
	return brokeraddress.Of(url)
}
