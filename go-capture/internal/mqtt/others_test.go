// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"visavis/capture/internal/waiting"
)

// copied is another machine with the files that a device keeps about its topics.
func copied(t *testing.T, folder string) string {
	t.Helper()
	other := stateFolder(t)
	if err := os.CopyFS(filepath.Join(other, "topics"), os.DirFS(filepath.Join(folder, "topics"))); err != nil {
		t.Fatal(err)
	}
	return other
}

func (d *device) remembers(name string) bool {
	for _, f := range d.families() {
		for _, m := range f {
			if slices.ContainsFunc(m.announced().Topics, func(topic string) bool { return strings.Contains(topic, name) }) {
				return true
			}
		}
	}
	return false
}

func TestACopyUnderAnotherNameLeavesTheOriginalItsTopics(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	folder := stateFolder(t)
	original := startDevice(t, folder, configuration, b.everything("porch", "component"))
	original.StatsFrom(func() Stats { return Stats{} })
	waiting.Until(t, "all is there", func() bool {
		return slices.Contains(b.standing(t, "visavis/porch/"), "visavis/porch/door/last_face") && len(b.standing(t, "homeassistant/")) > 0 &&
			slices.Contains(b.standing(t, "frigate/"), "frigate/door/face/snapshot")
	})
	s := b.everything("hall", "component") // with Frigate's prefix of the original, whose figures come once a minute
	other := copied(t, folder)
	before := b.standing(t, "")
	twin := openDevice(t, other, configuration, s)
	twin.Expect([]Place{{Camera: "door", Pictures: true}})
	if !twin.remembers("porch") {
		t.Fatal("it has taken nothing over")
	}
	twin.run(t)
	waiting.Until(t, "it forgets the original", func() bool { return !twin.remembers("porch") })
	twin.stop()
	for _, topic := range before {
		if !slices.Contains(b.standing(t, ""), topic) {
			t.Errorf("%s was cleared", topic)
		}
	}
	original.stop()
	s.Device, s.FrigatePrefix = "yard", "nvr"
	heir := startDevice(t, copied(t, folder), configuration, s)
	waiting.Until(t, "what is left by who has gone is cleared", func() bool {
		return len(b.standing(t, "visavis/porch/")) == 0 && len(b.standing(t, "frigate/")) == 0 && !heir.remembers("porch")
	})
}

// As after a power cut that took device and broker, whose memory says online for ever.
func TestWhoIsOnlineAtABrokerAndGivesNoSignOfLifeIsCleared(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	folder := stateFolder(t)
	original := startDevice(t, folder, configuration, b.everything("porch", "component"))
	waiting.Until(t, "it is there", func() bool { return len(b.standing(t, "homeassistant/")) > 0 })
	original.stop()
	other := b.visitor(t)
	defer other.Disconnect(0)
	for _, topic := range []string{topicStatus, "frigate/available"} {
		other.Publish(topic, 1, true, isThere).Wait()
	}
	s := b.everything("hall", "component")
	s.FrigatePrefix = "nvr"
	heir := openDevice(t, folder, configuration, s)
	for _, f := range heir.families() {
		for _, m := range f {
			m.figuresMissed = 0
		}
	}
	heir.Expect([]Place{{Camera: "door"}})
	heir.run(t)
	waiting.Until(t, "nothing is left of it", func() bool {
		return len(b.standing(t, "visavis/porch/")) == 0 && len(b.standing(t, "frigate/")) == 0 && !heir.remembers("porch")
	})
}

func TestTopicsAreThoseOfWhoeverSaysAboveThemThatItIsThere(t *testing.T) {
	topics := []string{
		"visavis/hall/door/status", "visavis/hall/door/faces", // a camera that this device has no more
		"old/hall/status", "old/hall/info", // another prefix of this device
		"visavis/porch/status", "visavis/porch/door/status", "visavis/porch/door/zone/faces", "homeassistant/device/visavis_porch/config",
		"homeassistant/sensor/visavis_hall/door_faces/config", "frigate/available", "frigate/door/face/snapshot",
	}
	want := map[string]string{"frigate/available": "frigate/available", "frigate/door/face/snapshot": "frigate/available"}
	for _, topic := range topics[4:8] {
		want[topic] = "visavis/porch/status"
	}
	if got := presences(topics, "hall"); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
