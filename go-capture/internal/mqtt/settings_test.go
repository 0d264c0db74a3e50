// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"visavis/capture/internal/secretfile"
)

func TestAPasswordIsReadAsAnEditorWritesIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	settings := Settings{Section: "mqtt_second", PasswordFile: path}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("\ufeffsecret\r\n")
	if password, err := settings.password(); password != "secret" || err != nil {
		t.Errorf("%q, %v", password, err)
	}
	write("s\x00e\x00")
	_, err := settings.password()
	if !errors.Is(err, secretfile.ErrUTF16) || !strings.Contains(err.Error(), "mqtt_second.password_file: "+path) {
		t.Error(err)
	}
}

// paho takes it for the certificate's name too.
func TestABrokersNameInOtherLettersIsDialledInASCII(t *testing.T) {
	for written, dialled := range map[string]string{
		"mqtt://küche.test": "tcp://xn--kche-0ra.test:1883", "mqtts://KÜCHE.test:8884": "ssl://xn--kche-0ra.test:8884",
		"wss://k%C3%BCche.test/ü": "wss://xn--kche-0ra.test:443/%C3%BC", "mqtt://my_broker": "tcp://my_broker:1883",
	} {
		if got, _, err := (Settings{URL: written}).address(); err != nil || got != dialled {
			t.Errorf("%s is dialled as %s, %v; want %s", written, got, err, dialled)
		}
	}
	if _, _, err := (Settings{URL: "mqtt://k\u00fc\u2028"}).address(); err == nil || !strings.Contains(err.Error(), "mqtt.url") {
		t.Errorf("what is no name: %v", err)
	}
}
