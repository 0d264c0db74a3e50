// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"

	"visavis/capture/internal/brokeraddress"
	"visavis/capture/internal/hostname"
	"visavis/capture/internal/secretfile"
)

// Settings say which broker, and under which names.
type Settings struct {
	Section   string // of the configuration, for what is told; "" = mqtt
	URL       string // mqtt, mqtts, ws or wss ://host:port; the last two with a path if the broker wants one
	Prefix    string // first level of every topic
	Device    string // device id, second level
	CA        string // file with the PEM certificates that may sign the broker's; "" = the system's
	Cert, Key string // files with the client certificate and its key; both or neither
	User      string
	Formats   []string // native, frigate, sparkplug; none = native
	// FrigatePrefix and SparkplugGroup are the first levels of those forms.
	FrigatePrefix, SparkplugGroup string
	PasswordFile                  string // read at every connection, so that a changed password needs no restart
	Commands                      bool   // obey the topics set/<name>
	Discovery                     string // "device", "component" or "off": how Home Assistant is told
	Version                       string // of visavis
	Page                          string // where others find the page, "" if they cannot
	Temperature                   bool   // the device knows one
}

// address turns the URL into what paho dials; the error names the setting.
func (s Settings) address() (address string, secure bool, err error) {
	u, err := url.Parse(s.URL)
	if err != nil {
		return "", false, s.says("mqtt.url: %w", err)
	}
	known, ok := brokeraddress.Schemes[u.Scheme]
	if !ok {
		return "", false, s.says("mqtt.url %q: the scheme must be mqtt, mqtts, ws or wss", s.URL)
	}
	if u.Hostname() == "" {
		return "", false, s.says("mqtt.url %q has no host: write mqtt://host:1883 or mqtts://host:8883", s.URL)
	}
	host, err := hostname.ASCII(u.Hostname())
	if err != nil {
		return "", false, s.says("mqtt.url %q: its host is no name that can be looked up: %w", s.URL, err)
	}
	dialled := url.URL{Scheme: known.Dials, Host: net.JoinHostPort(host, cmp.Or(u.Port(), known.Port))}
	if strings.HasPrefix(known.Dials, "ws") {
		dialled.Path, dialled.RawPath = u.Path, u.RawPath // a slash that is written %2F is no slash
	}
	return dialled.String(), known.Secure, nil
}

// paired checks that a certificate has a key.
func (s Settings) paired() error {
	if (s.Cert == "") != (s.Key == "") {
		return s.says("mqtt.cert and mqtt.key belong together: set both or neither")
	}
	return nil
}

func (s Settings) password() (string, error) {
	if s.PasswordFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return "", s.says("mqtt.password_file: %w", err)
	}
	secret, err := secretfile.Needed(text)
	if err != nil {
		return "", s.says("mqtt.password_file: %s: %w", s.PasswordFile, err)
	}
	return secret, nil
}

// says makes an error out of a sentence about settings, which name the section that is meant.
func (s Settings) says(sentence string, values ...any) error {
	return fmt.Errorf(s.named(sentence), values...)
}

// named lets a sentence about the section mqtt be about this one.
func (s Settings) named(sentence string) string {
	return strings.ReplaceAll(sentence, "mqtt.", s.section()+".")
}

const firstSection = "mqtt"

func (s Settings) section() string { return cmp.Or(s.Section, firstSection) }

// suffix tells what belongs to another section than the first from what belongs to that.
func (s Settings) suffix() string {
	after, other := strings.CutPrefix(s.Section, firstSection+"_")
	if !other {
		return ""
	}
	return "." + after
}
