// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"

	"visavis/capture/internal/ports"
	"visavis/capture/internal/waiting"
)

func TestMain(m *testing.M) {
	rememberMost = waiting.Most // the next process of a test reads what this one wrote, however slow the disk is
	waiting.ForGoroutines(m)
}

// broker is a real mosquitto on a free loopback port. It keeps nothing over a restart.
type broker struct {
	t       *testing.T
	config  string
	address string
	process *exec.Cmd
	quiet   bool // its log does not say when it runs
}

// startBroker writes the configuration of a broker that its start() starts; access is what follows the listener.
func startBroker(t *testing.T, access string) *broker {
	t.Helper()
	if _, err := os.Stat("/usr/sbin/mosquitto"); err != nil {
		t.Fatalf("these tests need the real broker: apt-get install mosquitto (%v)", err)
	}
	address := ports.Free(t)
	b := &broker{t: t, address: address.String(), config: filepath.Join(t.TempDir(), "mosquitto.conf")}
	text := fmt.Sprintf("listener %d 127.0.0.1\npersistence false\nmax_queued_messages 0\n%s\n", address.Port, access)
	text += "user root\n" // only counts when root starts it: another user could not read the test's files
	if err := os.WriteFile(b.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.kill)
	return b
}

const anybody = "allow_anonymous true"

func (b *broker) start() {
	b.t.Helper()
	b.process = exec.Command("/usr/sbin/mosquitto", "-c", b.config)
	said, err := os.Create(b.config + ".log")
	if err != nil {
		b.t.Fatal(err)
	}
	defer said.Close() // the broker has its own
	b.process.Stderr = said
	if err := b.process.Start(); err != nil {
		b.t.Fatal(err)
	}
	waiting.Until(b.t, "mosquitto runs", func() bool { return strings.Contains(b.log(), " running\n") || b.quiet && b.answers() })
}

// answers tells whether the broker greets: then all its ports are open.
func (b *broker) answers() bool {
	caller, err := net.Dial("tcp", b.address)
	if err != nil {
		return false
	}
	defer caller.Close()                                                             // it was only a question
	_, asked := caller.Write([]byte("\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00")) // CONNECT; a refusal is an answer, too
	_, err = caller.Read(make([]byte, 1))
	return asked == nil && err == nil
}

// log is what the broker has said since its start.
func (b *broker) log() string {
	b.t.Helper()
	text, err := os.ReadFile(b.config + ".log")
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

func (b *broker) signal(s os.Signal) {
	b.t.Helper()
	if err := b.process.Process.Signal(s); err != nil {
		b.t.Fatal(err)
	}
}

// kill ends the broker as a power cut would.
func (b *broker) kill() {
	if b.process == nil {
		return
	}
	_ = b.process.Process.Kill() // it may have ended by itself
	_ = b.process.Wait()         // killed: always an error
	b.process = nil
}

func (b *broker) settings() Settings {
	return Settings{URL: "mqtt://" + b.address, Prefix: "visavis", Device: "porch"}
}

// message is what a subscriber saw.
type message struct {
	topic, payload string
	retained       bool
}

// subscriber keeps all messages in order.
type subscriber struct {
	mu   sync.Mutex
	seen []message
}

func (b *broker) subscribe() *subscriber { return b.subscribeTo("#") }

// visitor is somebody else at the broker.
func (b *broker) visitor(t *testing.T) paho.Client {
	t.Helper()
	client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + b.address).SetAutoReconnect(false))
	acknowledged(t, "connecting", client.Connect())
	return client
}

// acknowledged waits until the broker has done what it was asked for.
func acknowledged(t *testing.T, what string, token paho.Token) {
	t.Helper()
	if waiting.For(t, what, token.Done()); token.Error() != nil {
		t.Fatalf("%s: %v", what, token.Error())
	}
}

func (b *broker) subscribeTo(topics string) *subscriber {
	b.t.Helper()
	s := &subscriber{}
	client := b.visitor(b.t)
	b.t.Cleanup(func() { client.Disconnect(0) })
	acknowledged(b.t, "subscribing", client.Subscribe(topics, 1, func(_ paho.Client, m paho.Message) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.seen = append(s.seen, message{m.Topic(), string(m.Payload()), m.Retained()})
	}))
	return s
}

// all are the payloads of one topic.
func (s *subscriber) all(topic string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for _, m := range s.seen {
		if m.topic == topic {
			found = append(found, m.payload)
		}
	}
	return found
}

func (s *subscriber) last(topic string) string {
	found := s.all(topic)
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

// run starts a publisher and returns what ends it and waits for its end.
func run(t *testing.T, p *Publisher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run returned %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}

func newPublisher(t *testing.T, s Settings) *Publisher {
	t.Helper()
	p, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
