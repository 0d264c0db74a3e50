// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"visavis/capture/internal/hub"
	"visavis/capture/internal/ports"
	"visavis/capture/internal/waiting"
)

// webBroker is a broker that also listens for WebSockets; a subscriber comes to its plain listener. The settings lead to the other.
func webBroker(t *testing.T, more string) (*broker, Settings) {
	t.Helper()
	port := ports.Free(t).Port
	b := startBroker(t, fmt.Sprintf("%s\nlistener %d\nprotocol websockets\n%s", anybody, port, more))
	b.start()
	return b, Settings{URL: fmt.Sprintf("ws://localhost:%d", port), Prefix: "visavis", Device: "porch"}
}

func TestAThousandResultsArriveThroughAWebSocket(t *testing.T) {
	b, settings := webBroker(t, "")
	seen := b.subscribe()
	p := newPublisher(t, settings)
	stop := run(t, p)
	waiting.Until(t, "connected", p.Connected)
	for i := range uint64(1000) {
		p.Take(result(2*i+2, hub.Dropped{NoSlot: 1}))
		waiting.Until(t, "the backlog has room", func() bool { return p.backlog.size() < backlogMost })
	}
	waiting.Until(t, "all arrive", func() bool { return len(seen.all(topicDetections)) == 1000 })
	addsUp(t, seen.all(topicDetections))
	stop()
	waiting.Until(t, "offline", func() bool { return seen.last(topicStatus) == "offline" })
	waiting.Until(t, "the broker says that it left in order", func() bool { return strings.Contains(b.log(), "visavis-porch disconnected.") })
}

func TestAWebSocketIsEncryptedAndKnowsBothSidesByTheirCertificates(t *testing.T) {
	ca := newAuthority(t, "house")
	own := ca.issue("localhost", inAnHour())
	_, settings := webBroker(t, fmt.Sprintf("cafile %s\ncertfile %s\nkeyfile %s\nrequire_certificate true", ca.file, own.certificate, own.key))
	host := strings.TrimPrefix(settings.URL, "ws://")
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		t.Fatal(err)
	}
	settings.URL, settings.CA = "wss://"+host+"/mqtt", ca.file
	if err := connects(t, settings); err == nil {
		t.Fatal("connected without a certificate")
	}
	mine := ca.issue("porch", inAnHour())
	settings.Cert, settings.Key = mine.certificate, mine.key
	if err := connects(t, settings); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Settings)
		words  string
	}{
		"another CA":       {func(s *Settings) { s.CA = newAuthority(t, "other").file }, "set mqtt.ca"},
		"another name":     {func(s *Settings) { s.URL = "wss://127.0.0.1:" + port }, "write a name"},
		"no TLS":           {func(s *Settings) { s.URL = "ws://localhost:" + port }, "their path"},
		"no WebSocket":     {func(s *Settings) { s.URL = "mqtts://localhost:" + port }, "mqtt.url"},
		"nobody listening": {func(s *Settings) { s.URL = "wss://127.0.0.1:1" }, "the broker runs"},
	} {
		if err := connects(t, with(settings, c.change)); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: error %v, want %q in it", name, err, c.words)
		}
	}
}

func TestABrokerBehindAWebSocketThatHangsHoldsNobodyUp(t *testing.T) {
	b, settings := webBroker(t, "")
	p := newPublisher(t, settings)
	run(t, p)
	waiting.Until(t, "connected", p.Connected)
	b.signal(syscall.SIGSTOP)
	seq := uint64(0)
	waiting.Until(t, "the connection takes no more and counts as lost", func() bool {
		for range 1000 {
			seq++
			p.Take(result(seq, hub.Dropped{}))
		}
		return !p.Connected()
	})
	b.signal(syscall.SIGCONT)
	waiting.Until(t, "connected again", p.Connected)
}

func TestOnlyTheAddressInTheSettingsIsEverDialled(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	t.Setenv("ALL_PROXY", "http://127.0.0.1:1")
	_, settings := webBroker(t, "")
	if err := connects(t, settings); err != nil {
		t.Fatal(err)
	}
}

func TestAddressesBecomeWhatIsDialled(t *testing.T) {
	for written, dialled := range map[string]string{
		"mqtt://box": "tcp://box:1883", "mqtts://box": "ssl://box:8883", "mqtt://[::1]:7": "tcp://[::1]:7", "mqtt://box:7/": "tcp://box:7",
		"ws://box": "ws://box:80", "ws://box:9001/mqtt": "ws://box:9001/mqtt", "wss://box/a/b": "wss://box:443/a/b",
		"wss://box/a%2Fb": "wss://box:443/a%2Fb", "ws://box/a%20b": "ws://box:80/a%20b", "mqtt://[fe80::1%25eth0]": "tcp://[fe80::1%25eth0]:1883",
	} {
		if got, _, err := (Settings{URL: written}).address(); err != nil || got != dialled {
			t.Errorf("%s: %q, %v, want %q", written, got, err, dialled)
		}
	}
}

func TestASilentWebServerDoesNotHoldUpTheEnd(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // never answers
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	p := newPublisher(t, Settings{URL: "ws://" + listener.Addr().String(), Prefix: "visavis", Device: "porch"})
	p.patience = time.Hour
	go func() { ended <- p.Run(ctx) }()
	silent, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	cancel()
	if err := waiting.For(t, "the publisher ends", ended); err != nil {
		t.Fatal(err)
	}
}
