// SPDX-License-Identifier: Apache-2.0

package brokeraddress

import "testing"

func TestAPlaceIsTheSameForAllWaysOfWritingIt(t *testing.T) {
	for dialled, others := range map[string][]string{
		"tcp://broker:1883":    {"mqtt://broker", "mqtt://BROKER.:1883", "tcp://broker:1883"},
		"ssl://broker:8883":    {"mqtts://broker", "ssl://broker:8883/"},
		"ws://broker:80/plant": {"ws://broker/plant/", "ws://broker:80/plant"},
		"wss://broker:443":     {"wss://broker"},
		"ws://broker:80/a%2Fb": {"ws://broker/a%2Fb/"},
		"tcp://127.0.0.1:1884": {"mqtt://localhost:1884", "mqtt://[::1]:1884"},
		"tcp://[fd00::5]:1883": {"mqtt://[fd00:0::5]"},
	} {
		for _, address := range others {
			if place := Of(address); place.String() != dialled || Of(dialled) != place {
				t.Errorf("%s is %s, want %s", address, place, dialled)
			}
		}
	}
}

func TestWhatIsNoAddressIsNowhereElse(t *testing.T) {
	for _, text := range []string{"", "managed", "mqtt://", "mqtt://[::1", "broker:1883"} {
		if place := Of(text); place.Host != "" || place == Of("mqtt://broker") || place == Of(text+"x") {
			t.Errorf("%q is %+v", text, place)
		}
	}
}
