// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"strings"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"

	"visavis/capture/internal/hub"
	"visavis/capture/internal/waiting"
)

// flooded is a connection on which a result comes for each that is sent.
type flooded struct {
	paho.Client
	to *Publisher
}

func (f flooded) Publish(topic string, qos byte, retained bool, payload any) paho.Token {
	if strings.HasSuffix(topic, "/detections") {
		f.to.Take(result(1, hub.Dropped{}))
	}
	return f.Client.Publish(topic, qos, retained, payload)
}

func TestStatesAndTheEndHaveTheirTurnWhileResultsComeAsFastAsTheyAreSent(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	p := newPublisher(t, b.settings())
	client, err := p.connect(context.Background(), p.will(), make(chan error, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(disconnectMs)
	p.Take(result(1, hub.Dropped{}))
	returned := make(chan error, 1)
	go func() { returned <- p.flush(flooded{client, p}) }()
	waiting.Until(t, "what waited is sent", func() bool { return len(returned) > 0 })
	if err := <-returned; err != nil {
		t.Fatal(err)
	}
	if len(p.wake) == 0 {
		t.Error("nobody comes back for what came meanwhile")
	}
}
