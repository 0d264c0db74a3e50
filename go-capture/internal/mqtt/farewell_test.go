// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"visavis/capture/internal/event"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/waiting"
)

// With DISCONNECT a broker forgets the will: the device would stay online for as long as it does not come back.
func TestASessionThatWeEndOurselvesHasItsWillSaid(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	seen := b.subscribe()
	nobody := func() {}
	for topic, session := range map[string]func(Settings) error{
		"visavis/porch/status": func(s Settings) error {
			p := newPublisher(t, s)
			p.Take(&hub.Result{Camera: "door", Faces: []hub.Face{{Score: float32(math.NaN())}}}) // no JSON
			return p.session(t.Context(), nobody)
		},
		"frigate/available": func(s Settings) error {
			s.FrigatePrefix = "frigate"
			f, err := NewFrigate(s)
			if err != nil {
				return err
			}
			f.StatsFrom(func() Stats { return Stats{Cameras: map[string]CameraStats{"door": {FPSInferred: math.NaN()}}} })
			return f.session(t.Context(), nobody)
		},
	} {
		if err := session(b.settings()); err == nil {
			t.Fatalf("%s: nothing failed", topic)
		}
		waiting.Until(t, topic+" says offline", func() bool { return seen.last(topic) == "offline" })
	}
}

func TestANodeThatABrokerDoesNotListenToCutsItsConnectionAndHasANewNumber(t *testing.T) {
	var numbers []uint64
	var farewells atomic.Int32
	broker := startFussy(t, &fussy{deaf: true, asks: func(p packets.ControlPacket) {
		switch p := p.(type) {
		case *packets.ConnectPacket:
			numbers = append(numbers, readCertificate(t, string(p.WillMessage)).metrics[bdSeq])
		case *packets.DisconnectPacket:
			farewells.Add(1)
		}
	}})
	s := broker.settings()
	s.SparkplugGroup = "house"
	node, err := NewSparkplug(s)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		node.patience = 50 * time.Millisecond
		if err := node.session(t.Context(), func() {}); !errors.Is(err, errNotTaken) {
			t.Fatal(err)
		}
	}
	if farewells.Load() != 0 || !slices.Equal(numbers, []uint64{0, 1, 2}) {
		t.Errorf("%d farewells, numbers %v", farewells.Load(), numbers)
	}
}

// asking is a message with a command; nothing else of it is looked at.
type asking struct {
	packets.PublishPacket
	payload []byte
}

func (a asking) Duplicate() bool   { return false }
func (a asking) Qos() byte         { return 1 }
func (a asking) Retained() bool    { return false }
func (a asking) Topic() string     { return "" }
func (a asking) MessageID() uint16 { return 0 }
func (a asking) Payload() []byte   { return a.payload }
func (a asking) Ack()              {}

func TestNothingButABirthFollowsARequestForOne(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	seen := b.subscribe()
	s := startSparkplug(t, b.settings())
	s.SetCameraStatus("door", true)
	waiting.Until(t, "the camera's birth", func() bool { return kinds(t, seen) == "NBIRTH0 DBIRTH1" })
	s.hear(asking{payload: encodeSparkplug(time.Now(), nil, metric{nodeRebirth, true})})
	s.TakeState(hub.State{Camera: "door", Confirmed: 2})
	s.TakeEvent(visit("appeared", 0, ""))
	waiting.Until(t, "the event", func() bool {
		return readCertificate(t, seen.last("spBv1.0/house/DDATA/porch/door")).texts[sparkplugEvent] != ""
	})
	if told := kinds(t, seen); !strings.HasPrefix(told, "NBIRTH0 DBIRTH1 NBIRTH0 DBIRTH1 DDATA2") {
		t.Error(told)
	}
}

// saidNow is what would be sent now, each as its kind and the id of its event.
func saidNow(t *testing.T, s *Sparkplug) (all []string) {
	t.Helper()
	for {
		kind, _, metrics := s.next()
		if kind == noKind {
			return all
		}
		said := map[sparkplugKind]string{cameraBirth: "birth", cameraData: "data", cameraDeath: "death"}[kind]
		for _, m := range metrics {
			if text, isText := m.value.(string); m.name == sparkplugEvent && isText && text != "" {
				var e event.Event
				if err := json.Unmarshal([]byte(text), &e); err != nil {
					t.Fatal(err)
				}
				said += strings.TrimLeft(e.ID, "0")
			}
		}
		all = append(all, said)
	}
}

func TestEventsThatWaitForABirthFollowItOnce(t *testing.T) {
	s, err := NewSparkplug(Settings{URL: "mqtt://127.0.0.1:1", Device: "porch", SparkplugGroup: "plant"})
	if err != nil {
		t.Fatal(err)
	}
	happens := func(numbers ...int) {
		for _, n := range numbers {
			s.TakeEvent(visit("appeared", n, ""))
		}
	}
	expect := func(what string, want ...string) {
		t.Helper()
		if got := saidNow(t, s); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	s.Expect([]Place{{Camera: "door"}})
	happens(1) // a visit of the process before
	s.runs.Store(true)
	s.SetCameraStatus("door", true)
	happens(2, 3)
	s.Expect([]Place{{Camera: "door"}})
	expect("a reload", "birth", "data2", "data3")
	happens(4)
	s.SetCameraStatus("door", false)
	happens(5) // who was there is gone
	expect("a camera that goes", "death")
	s.SetCameraStatus("door", true)
	expect("and comes back", "birth3")
	if appeared := s.cameras["door"].values["appeared"]; appeared != uint64(4) {
		t.Errorf("%v are counted", appeared)
	}
}
