// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"

	"visavis/capture/internal/hub"
	"visavis/capture/internal/ports"
	"visavis/capture/internal/state"
	"visavis/capture/internal/waiting"
)

// device is one that a configuration describes, with all its files in a folder.
type device struct {
	*Brokers
	closeAll func(context.Context) error
	stop     func()
}

// stateFolder is one that goes at the end. The end of a daemon waits no longer than a moment for a slow disk, which may write once more.
func stateFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "state-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { waiting.Until(t, "the folder goes", func() bool { return os.RemoveAll(folder) == nil }) })
	return folder
}

// RememberIn names the file of a memory that has no others beside it, and takes what an earlier process remembered.
func (m *memory) RememberIn(path, configuration string) { m.take(m.open(path, configuration)) }

func startDevice(t *testing.T, folder, configuration string, s Settings) *device {
	t.Helper()
	d := openDevice(t, folder, configuration, s)
	d.Expect([]Place{{Camera: "door", Zones: []string{"step"}, Pictures: true}})
	d.SetCameraStatus("door", true)
	d.TakeState(hub.State{Camera: "door", Zone: "step", Confirmed: 1, Occupied: true})
	d.SetLastFace("door", Picture{JPEG: []byte("jpeg"), Plain: true})
	d.run(t)
	return d
}

func openDevice(t *testing.T, folder, configuration string, s Settings) *device {
	t.Helper()
	s.Version = "1"
	d := &device{}
	var err error
	if d.Brokers, err = NewBrokers(s); err != nil {
		t.Fatal(err)
	}
	if d.closeAll, err = d.Keep(folder, configuration); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *device) run(t *testing.T) {
	t.Helper()
	d.stop = runBrokers(t, d.Brokers, d.closeAll)
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
	waiting.Until(t, "connected", b.allThere)
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
		folder := stateFolder(t)
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
		waiting.Until(t, "in Frigate's form it stands under its own", func() bool {
			return slices.Equal(b.standing(t, "nvr/"), []string{"nvr/available", "nvr/door/face/snapshot"})
		})
		waiting.Until(t, "nothing of the old name is remembered", func() bool {
			for _, topic := range second.natives[0].announced().Topics {
				if strings.Contains(topic, "porch") {
					return false
				}
			}
			return true
		})
		second.stop()
		files, err := os.ReadDir(filepath.Join(folder, "topics"))
		if err != nil || len(files) != 3 || files[0].Name() != "hall.frigate.json" || files[1].Name() != "hall.json" {
			t.Errorf("remembered in %v, %v", files, err)
		}
	}
}

// An entity that is told to move stays in Home Assistant until it is told of elsewhere, which it never would be.
func TestTheEntitiesOfAnotherNameAreRemovedNotMoved(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	folder := stateFolder(t)
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
	folder := stateFolder(t)
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
	folder := stateFolder(t)
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

// A form that is told no more, or the broker under another name, must not leave behind what nobody would ever clear: a face that is hidden from now on.
func TestAFormThatIsToldNoMoreAndAnotherNameOfTheBrokerLeaveNothingBehind(t *testing.T) {
	otherPort := ports.Free(t)
	forms := func(names ...string) func(*Settings) { return func(s *Settings) { s.Formats = names } }
	for change, one := range map[string]struct {
		edit func(*Settings)
		left []string // first levels of what may stand afterwards
	}{
		"Frigate's form goes":   {forms("native", "sparkplug"), []string{"visavis", "homeassistant"}},
		"the native form goes":  {forms("frigate"), []string{"frigate"}},
		"Sparkplug alone stays": {forms("sparkplug"), nil},
		"another name of the broker": {func(s *Settings) { s.URL = strings.Replace(s.URL, "127.0.0.1", "LOCALHOST", 1) },
			[]string{"visavis", "homeassistant", "frigate"}},
		"another port of it": {func(s *Settings) { s.URL = "mqtt://" + otherPort.String() }, []string{"visavis", "homeassistant", "frigate"}},
	} {
		t.Run(change, func(t *testing.T) {
			b := startBroker(t, fmt.Sprintf("listener %d 127.0.0.1\n%s", otherPort.Port, anybody))
			b.start()
			folder, s := stateFolder(t), b.everything("porch", "device")
			first := startDevice(t, folder, configuration, s)
			waiting.Until(t, "a face is there", func() bool { return pictures(b.standing(t, "")) == 2 })
			first.stop()
			one.edit(&s)
			second := openDevice(t, folder, configuration, s)
			second.Expect([]Place{{Camera: "door"}})
			second.run(t)
			waiting.Until(t, "only what is told stands", func() bool {
				left := map[string]bool{}
				for _, topic := range b.standing(t, "") {
					first, _, _ := strings.Cut(topic, "/")
					left[first] = true
				}
				return pictures(b.standing(t, "")) == 0 && slices.Equal(slices.Sorted(maps.Keys(left)), slices.Sorted(slices.Values(one.left)))
			})
		})
	}
}

func pictures(topics []string) (n int) {
	for _, topic := range topics {
		if isPicture(topic) {
			n++
		}
	}
	return n
}

// TestDevicesOfOneConfigurationKeepTheirTopics is that of two containers, whose environments name them.
func TestDevicesOfOneConfigurationKeepTheirTopics(t *testing.T) {
	folder := stateFolder(t)
	tell := func(device string) {
		d := openDevice(t, folder, configuration, Settings{URL: "mqtt://127.0.0.1:1", Prefix: "visavis", Device: device})
		d.Expect([]Place{{Camera: "door"}})
		for _, f := range d.families() {
			f.kept()
		}
		if err := d.closeAll(context.Background()); err != nil {
			t.Error(err)
		}
	}
	runBeside(t, folder, "porch", "yard")
	tell("porch")
	for _, device := range []string{"yard", "garden"} {
		tell(device)
		_, err := os.Stat(filepath.Join(folder, "topics", "porch.json"))
		if isOther := device == "yard"; isOther != (err == nil) {
			t.Errorf("after %s: %v", device, err)
		}
	}
}

// runBeside are two devices of one configuration that run for a while and end.
func runBeside(t *testing.T, folder, one, other string) {
	t.Helper()
	for _, device := range []string{one, other} {
		held, err := state.Lock(filepath.Join(folder, "history", device))
		if err != nil {
			t.Fatal(err)
		}
		defer held.Close()
		if err := errors.Join(state.Follow(folder, configuration, device), state.NoteBeside(folder, configuration, device)); err != nil {
			t.Fatal(err)
		}
	}
}

// What a form has left is its own again once it is told again: no other form clears what this one says.
func TestAFormThatIsToldAgainHasItsTopicsBack(t *testing.T) {
	folder := stateFolder(t)
	s := Settings{URL: "mqtt://127.0.0.1:1", Prefix: "visavis", Device: "porch", FrigatePrefix: "frigate"}
	tell := func(formats ...string) *Brokers {
		s.Formats = formats
		d := openDevice(t, folder, configuration, s)
		d.Expect([]Place{{Camera: "door", Pictures: true}})
		d.SetLastFace("door", Picture{JPEG: []byte("jpeg"), Plain: true})
		for _, f := range d.families() {
			for _, m := range f {
				m.keeper.Write()
			}
		}
		if err := d.closeAll(context.Background()); err != nil {
			t.Error(err)
		}
		return d.Brokers
	}
	tell("native", "frigate")
	const face = "frigate/door/face/snapshot"
	for _, form := range []string{"native", "frigate"} {
		if alone := tell(form).families()[0][0].announced(); !slices.Contains(alone.Plain, face) || !slices.Contains(alone.Plain, "visavis/porch/door/last_face") {
			t.Errorf("%s alone does not clear %v", form, alone)
		}
		both := tell("native", "frigate")
		native, frigate := both.all[0].retaining().announced(), both.all[1].retaining().announced()
		if slices.Contains(native.Topics, face) || !slices.Contains(frigate.Plain, face) || slices.Contains(frigate.Topics, "visavis/porch/status") {
			t.Errorf("after %s alone: the native form has %v, Frigate's %v", form, native, frigate)
		}
	}
}
