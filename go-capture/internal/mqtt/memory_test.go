// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"

	"visavis/capture/internal/hub"
	"visavis/capture/internal/waiting"
)

// device is one that a configuration describes, with all its files in a folder.
type device struct {
	*Brokers
	stop func()
}

func startDevice(t *testing.T, folder, configuration string, s Settings) *device {
	t.Helper()
	s.Version = "1"
	d := &device{}
	var err error
	if d.Brokers, err = NewBrokers(s); err != nil {
		t.Fatal(err)
	}
	closeAll, err := d.Keep(folder, configuration)
	if err != nil {
		t.Fatal(err)
	}
	d.Expect([]Place{{Camera: "door", Zones: []string{"step"}, Pictures: true}})
	d.SetCameraStatus("door", true)
	d.TakeState(hub.State{Camera: "door", Zone: "step", Confirmed: 1, Occupied: true})
	d.SetLastFace("door", Picture{JPEG: []byte("jpeg")})
	d.stop = runBrokers(t, d.Brokers, closeAll)
	return d
}

// runBrokers returns, once they are connected, what ends them.
func runBrokers(t *testing.T, b *Brokers, closeAll func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := errors.Join(<-ended, closeAll(context.Background())); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	waiting.Until(t, "connected", b.Connected)
	return stop
}

// standing are the topics that a broker holds, below some first levels: what it tells somebody who comes now.
func (b *broker) standing(t *testing.T, below string) []string {
	t.Helper()
	const end = "end/of/retained"
	client, topics := b.visitor(t), make(chan string, 1000)
	defer client.Disconnect(0)
	client.Subscribe("#", 1, func(_ paho.Client, m paho.Message) {
		if m.Retained() || m.Topic() == end {
			topics <- m.Topic()
		}
	}).Wait()
	client.Publish(end, 1, false, "") // comes behind all that is retained
	found := []string{}
	for topic := range topics {
		if topic == end {
			slices.Sort(found)
			return found
		}
		if strings.HasPrefix(topic, below) {
			found = append(found, topic)
		}
	}
	return nil
}

func (b *broker) everything(device, form string) Settings {
	s := b.settings()
	s.Device, s.Discovery, s.Formats, s.FrigatePrefix = device, form, []string{"native", "frigate", "sparkplug"}, "frigate"
	s.SparkplugGroup = "plant"
	return s
}

const configuration = "/etc/visavis/config.toml"

func TestAnotherNameOfTheDeviceClearsWhatStandsUnderTheOld(t *testing.T) {
	for before, after := range map[string]string{"device": "device", "component": "component", "off": "device"} {
		b := startBroker(t, anybody)
		b.start()
		folder := t.TempDir()
		first := startDevice(t, folder, configuration, b.everything("porch", before))
		waiting.Until(t, "all is there", func() bool {
			return slices.Contains(b.standing(t, "visavis/porch/"), "visavis/porch/door/last_face") && len(b.standing(t, "homeassistant/")) > 0 == (before != "off") &&
				slices.Contains(b.standing(t, "frigate/"), "frigate/door/face/snapshot")
		})
		first.stop()
		s := b.everything("hall", after)
		s.FrigatePrefix = "nvr"
		second := startDevice(t, folder, configuration, s)
		waiting.Until(t, "nothing stands under the old name", func() bool {
			for _, topic := range append(b.standing(t, "homeassistant/"), append(b.standing(t, "visavis/"), b.standing(t, "frigate/")...)...) {
				if !strings.Contains(topic, "hall") {
					return false
				}
			}
			return true
		})
		if got := b.standing(t, "nvr/"); !slices.Equal(got, []string{"nvr/available", "nvr/door/face/snapshot"}) {
			t.Errorf("in Frigate's form stand %v", got)
		}
		waiting.Until(t, "nothing of the old name is remembered", func() bool {
			for _, topic := range second.all[0].announced().Topics {
				if strings.Contains(topic, "porch") {
					return false
				}
			}
			return true
		})
		second.stop()
		files, err := os.ReadDir(filepath.Join(folder, "topics"))
		if err != nil || len(files) != 2 || files[0].Name() != "hall.frigate.json" || files[1].Name() != "hall.json" {
			t.Errorf("remembered in %v, %v", files, err)
		}
	}
}

// An entity that is told to move stays in Home Assistant until it is told of elsewhere, which it never would be.
func TestTheEntitiesOfAnotherNameAreRemovedNotMoved(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	folder := t.TempDir()
	first := startDevice(t, folder, configuration, b.everything("porch", "component"))
	waiting.Until(t, "it is there", func() bool { return len(b.standing(t, "homeassistant/")) > 0 })
	first.stop()
	seen := b.subscribe()
	startDevice(t, folder, configuration, b.everything("hall", "device"))
	old := "homeassistant/sensor/visavis_porch/door_faces/config"
	waiting.Until(t, "it is removed", func() bool { heard := seen.all(old); return len(heard) > 1 && seen.last(old) == "" })
	if slices.Contains(seen.all(old), migrate) {
		t.Error("it is told to move")
	}
}

func TestWhatBelongsToAnotherConfigurationOrToADaemonThatRunsStays(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	folder := t.TempDir()
	startDevice(t, folder, configuration, b.everything("runs", "device"))
	other := startDevice(t, folder, "/home/me/other.toml", b.everything("other", "device"))
	other.stop()
	s := b.everything("porch", "device")
	porch := startDevice(t, folder, configuration, s)
	waiting.Until(t, "all is sent", func() bool { return slices.Contains(b.standing(t, "visavis/porch/"), "visavis/porch/door/last_face") })
	porch.stop()
	for _, topic := range []string{"visavis/runs/status", "visavis/other/status", "visavis/other/door/faces", "homeassistant/device/visavis_other/config"} {
		if !slices.Contains(b.standing(t, ""), topic) {
			t.Errorf("%s was cleared", topic)
		}
	}
}

func TestWhatStandsAtAnotherBrokerIsClearedWhenThatIsUsedAgain(t *testing.T) {
	home, plant := startBroker(t, anybody), startBroker(t, anybody)
	home.start()
	plant.start()
	folder := t.TempDir()
	at := func(b *broker, device, prefix string) Settings {
		s := b.everything(device, "device")
		s.Prefix = prefix
		return s
	}
	for _, s := range []Settings{at(home, "porch", "visavis"), at(plant, "hall", "house")} {
		d := startDevice(t, folder, configuration, s)
		where := map[string]*broker{"porch": home, "hall": plant}[s.Device]
		waiting.Until(t, "it is there", func() bool { return len(where.standing(t, s.Prefix+"/"+s.Device+"/door/last_face")) == 1 })
		d.stop()
	}
	if got := home.standing(t, "visavis/porch/status"); len(got) != 1 {
		t.Error("a broker that is not used any more is written to")
	}
	startDevice(t, folder, configuration, at(home, "hall", "house"))
	waiting.Until(t, "the old name is gone", func() bool { return len(home.standing(t, "visavis/")) == 0 })
	if got := plant.standing(t, "house/hall/status"); len(got) != 1 {
		t.Error("the other broker is not left alone")
	}
}
