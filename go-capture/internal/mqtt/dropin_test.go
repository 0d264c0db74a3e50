// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"visavis/capture/internal/hub"
	"visavis/capture/internal/ports"
	"visavis/capture/internal/waiting"
)

const (
	shippedFolder = "../../../broker"
	many          = 4_000 // events, four times what mosquitto keeps for a subscriber if it is not told otherwise
)

// shippedBroker is a mosquitto as Debian starts it, with our files beside its own configuration; only ports and folders are the
// test's, and the rights of a listener, who hears everything. Each of the users has the password "secret".
func shippedBroker(t *testing.T, users ...string) *broker {
	t.Helper()
	b := startBroker(t, "") // only for its address and its end
	etc := filepath.Dir(b.config)
	for _, name := range []string{"conf.d/visavis.conf", "visavis.acl"} {
		text, err := os.ReadFile(filepath.Join(shippedFolder, filepath.Base(name)))
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := strings.Cut(b.address, ":")
		ours := strings.NewReplacer("/etc/mosquitto/", etc+"/", "listener 1883 ", "listener "+port+" ").Replace(string(text))
		if name == "visavis.acl" {
			ours += "\nuser listener\ntopic read #\n"
		}
		writeFile(t, filepath.Join(etc, name), ours)
	}
	for _, user := range users {
		addUser(t, filepath.Join(etc, "visavis.passwd"), user)
	}
	debian := "persistence true\npersistence_location %s/\nlog_dest stderr\ninclude_dir %s/conf.d\nuser root\n"
	writeFile(t, b.config, fmt.Sprintf(debian, etc, etc))
	b.quiet = true // by its own settings
	b.start()
	return b
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func addUser(t *testing.T, file, user string) {
	t.Helper()
	if _, err := os.Stat(file); err != nil {
		writeFile(t, file, "")
	}
	setPasswordIn(t, file, user, "secret")
}

// as is the settings of a device that the shipped broker knows.
func (b *broker) as(t *testing.T, device string) Settings {
	t.Helper()
	password := filepath.Join(t.TempDir(), "password")
	writeFile(t, password, "secret\n")
	return Settings{URL: "mqtt://" + b.address, Prefix: "visavis", Device: device, User: device, PasswordFile: password}
}

// session is a subscriber whose session the broker keeps while it is away.
func (b *broker) session(t *testing.T, user string, heard func(paho.Message)) (leave func()) {
	t.Helper()
	options := paho.NewClientOptions().AddBroker("mqtt://" + b.address).SetClientID("kept").SetCleanSession(false).SetAutoReconnect(false).
		SetUsername(user).SetPassword("secret").SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { heard(m) })
	client := paho.NewClient(options)
	acknowledged(t, user+" connects", client.Connect())
	acknowledged(t, user+" subscribes", client.Subscribe("#", 1, nil))
	return func() { client.Disconnect(disconnectMs) }
}

// savedSince waits until the broker has written all it holds to disk after this instant, as it does by itself.
func (b *broker) savedSince(t *testing.T, instant time.Time) {
	t.Helper()
	file := filepath.Join(filepath.Dir(b.config), "mosquitto.db")
	waiting.Until(t, "the broker saves", func() bool {
		about, err := os.Stat(file)
		return err == nil && about.ModTime().After(instant)
	})
}

// Events wait for a subscriber that is away; the broker is killed, and has them still.
// inSteps waits until all events are there: so many take their time.
func inSteps(t *testing.T, what string, count func() int) {
	t.Helper()
	const step = 500
	for n := step; n <= many; n += step {
		waiting.Until(t, fmt.Sprintf("%d events are %s", n, what), func() bool { return count() >= n })
	}
}

func TestWhatTheShippedBrokerAcknowledgedSurvivesItsKill(t *testing.T) {
	b := shippedBroker(t, "porch", "viewer")
	b.session(t, "viewer", func(paho.Message) {})()
	p := withEvents(t, newPublisher(t, b.as(t, "porch")))
	stop := run(t, p)
	waiting.Until(t, "connected", p.Connected)
	p.TakeState(hub.State{Camera: "door", Confirmed: 2, Occupied: true})
	for n := range many {
		p.TakeEvent(happening(n))
	}
	inSteps(t, "acknowledged", func() int { return many - int(p.EventsWaiting()) })
	stop()
	b.savedSince(t, time.Now())
	b.kill()
	b.start()
	events, retained := make(chan string, many), make(chan paho.Message, 100)
	defer b.session(t, "viewer", func(m paho.Message) {
		if m.Topic() == topicEvents {
			events <- string(m.Payload())
		} else if m.Retained() {
			retained <- m
		}
	})()
	inSteps(t, "there", func() int { return len(events) })
	order(t, drained(events), many)
	waiting.Until(t, "the retained states", func() bool { return len(retained) == 4 })
	for range 4 { // the device's status and three of the camera
		if m := <-retained; m.Topic() == door+"faces" && string(m.Payload()) != "2" {
			t.Errorf("%s is %s", m.Topic(), m.Payload())
		}
	}
}

func TestTheShippedBrokersLogDoesNotGrowByEachSave(t *testing.T) {
	b := shippedBroker(t, "porch")
	for range 2 {
		b.savedSince(t, time.Now())
	}
	_ = run(t, newPublisher(t, b.as(t, "porch")))
	waiting.Until(t, "who comes is told", func() bool { return strings.Contains(b.log(), "visavis-porch") })
	if strings.Contains(b.log(), "Saving") {
		t.Errorf("a year has fifteen million such lines:\n%s", b.log())
	}
}

func drained(from chan string) (all []string) {
	for len(from) > 0 {
		all = append(all, <-from)
	}
	return all
}

func TestADeviceWritesBelowItsOwnNameOnly(t *testing.T) {
	b := shippedBroker(t, "porch", "cellar", "viewer", "homeassistant", "listener")
	heard := make(chan string, 100)
	defer b.session(t, "listener", func(m paho.Message) { heard <- m.Topic() })()
	for _, writer := range []struct {
		user  string
		wrong []string
		right string // comes after the wrong ones, so that they would have been heard
	}{
		{"porch", []string{"visavis/cellar/status", "visavis/cellar/door/set/privacy", "visavis", "other/porch/status"}, "visavis/porch/events"},
		{"cellar", []string{"visavis/porch/events"}, "visavis/cellar/status"},
		{"porch", []string{"spBv1.0/house/NDATA/cellar", "spBv1.0/house/DDATA/cellar/door"}, "visavis/porch/marker"},
		{"viewer", []string{"visavis/porch/status", "visavis/porch/door/set/enabled", "visavis/viewer/status", "homeassistant/device/visavis_viewer/config",
			"homeassistant/sensor/visavis_viewer/faces/config", "spBv1.0/house/NDATA/viewer", "spBv1.0/house/NCMD/viewer"}, ""},
		{"homeassistant", []string{"visavis/porch/status", "visavis/homeassistant/status", "spBv1.0/house/DDATA/homeassistant/door"}, "visavis/porch/door/set/enabled"},
	} {
		client := b.client(t, writer.user)
		for _, topic := range writer.wrong {
			client.Publish(topic, 1, false, "hello") // a broker of MQTT 3.1.1 acknowledges it and passes it on to nobody
		}
		if writer.right == "" {
			writer.right = "visavis/porch/marker"
			client = b.client(t, "porch")
		}
		client.Publish(writer.right, 1, false, "hello")
		waiting.Until(t, "what "+writer.user+" may write", func() bool { return len(heard) > 0 })
		for got := <-heard; got != writer.right; got = <-heard {
			t.Errorf("%s could write to %s", writer.user, got)
		}
	}
}

// client is one that knows a user's password.
func (b *broker) client(t *testing.T, user string) paho.Client {
	t.Helper()
	client := paho.NewClient(paho.NewClientOptions().AddBroker("mqtt://" + b.address).SetUsername(user).SetPassword("secret").SetAutoReconnect(false))
	acknowledged(t, user+" connects", client.Connect())
	t.Cleanup(func() { client.Disconnect(0) })
	return client
}

func TestTheShippedBrokerLetsNobodyInWithoutAPassword(t *testing.T) {
	b := shippedBroker(t, "porch")
	if err := connects(t, b.settings()); err == nil || !strings.Contains(err.Error(), "mqtt.user") {
		t.Errorf("error %v, want one that names mqtt.user", err)
	}
	if err := connects(t, b.as(t, "porch")); err != nil {
		t.Error(err)
	}
}

func TestTheShippedBrokerSpeaksTLSToOtherMachines(t *testing.T) {
	ca := newAuthority(t, "house")
	own := ca.issue("localhost", inAnHour())
	text, err := os.ReadFile(filepath.Join(shippedFolder, "visavis-tls.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, uncommented string }{{"a password", ""}, {"a certificate", "# cafile,# require_,# use_"}} {
		b := shippedBroker(t, "porch")
		b.kill()
		for _, line := range strings.Split(c.uncommented, ",") {
			text = []byte(strings.Replace(string(text), line, strings.TrimPrefix(line, "# "), 1))
		}
		port := ports.Free(t).Port
		ours := strings.NewReplacer("/etc/mosquitto/certs/visavis.crt", own.certificate, "/etc/mosquitto/certs/visavis.key", own.key,
			"/etc/mosquitto/ca_certificates/visavis.crt", ca.file, "listener 8883", fmt.Sprintf("listener %d", port))
		writeFile(t, filepath.Join(filepath.Dir(b.config), "conf.d", "visavis-tls.conf"), ours.Replace(string(text)))
		b.start()
		settings := b.as(t, "porch")
		settings.URL, settings.CA = fmt.Sprintf("mqtts://localhost:%d", port), ca.file
		if c.uncommented != "" {
			mine := ca.issue("porch", inAnHour())
			settings.User, settings.PasswordFile, settings.Cert, settings.Key = "", "", mine.certificate, mine.key
		}
		if err := connects(t, settings); err != nil {
			t.Errorf("with %s: %v", c.name, err)
		}
		b.kill()
	}
}
