// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestASecondBrokerIsAnotherOne(t *testing.T) {
	for _, c := range []struct {
		first, second string
		same          bool
	}{
		{"mqtt://broker:1883", "mqtt://broker", true},
		{"mqtt://broker", "mqtt://BROKER:1883", true},
		{"mqtt://broker", "mqtt://broker./", true},
		{"mqtts://broker", "mqtts://broker:8883", true},
		{"mqtt://localhost", "mqtt://127.0.0.1:1883", true},
		{"mqtt://[::1]", "mqtt://[0:0:0:0:0:0:0:1]:1883", true},
		{"managed", "mqtt://localhost", true},
		{"ws://broker/mqtt", "ws://broker:80/mqtt/", true},
		{"wss://broker/mqtt", "wss://broker:443/mqtt", true},
		{"mqtt://broker", "mqtt://broker:1884", false},
		{"mqtt://broker", "mqtts://broker", false},
		{"mqtt://broker", "mqtt://broker2", false},
		{"ws://broker/mqtt", "ws://broker/plant", false},
		{"managed", "mqtt://broker", false},
	} {
		_, err := Load(write(t, fmt.Sprintf("[mqtt]\nurl = %q\n[mqtt_second]\nurl = %q\n", c.first, c.second)), nil, nil)
		if told := err != nil && strings.Contains(err.Error(), "mqtt_second.url"); told != c.same {
			t.Errorf("%s and %s: %v", c.first, c.second, err)
		}
	}
}

func TestOneFormAloneMayHaveThePrefixOfTheOther(t *testing.T) {
	for _, formats := range []string{`["native"]`, `["frigate"]`, `["frigate", "sparkplug"]`} {
		made := load(t, write(t, "[mqtt]\nprefix = \"home\"\nfrigate_prefix = \"home\"\nformats = "+formats+"\n"))
		if made.MQTT.Prefix != made.MQTT.FrigatePrefix {
			t.Errorf("%s: %q and %q", formats, made.MQTT.Prefix, made.MQTT.FrigatePrefix)
		}
	}
}
