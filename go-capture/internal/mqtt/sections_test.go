// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"visavis/capture/internal/ports"
	"visavis/capture/internal/waiting"
)

// A broker is the same in another section: what was left there under the first must not stay, least of all a face that is hidden from now on.
func TestABrokerInAnotherSectionLeavesNothingBehind(t *testing.T) {
	for change, sections := range map[string]struct {
		before, after [2]string // the brokers of [mqtt] and [mqtt_second]
	}{
		"another one takes its place": {[2]string{"home"}, [2]string{"plant", "home"}},
		"two change places":           {[2]string{"home", "plant"}, [2]string{"plant", "home"}},
		"it becomes the first":        {[2]string{"plant", "home"}, [2]string{"home"}},
		"it is alone in the second":   {[2]string{"home"}, [2]string{"", "home"}},
		"it changes its port as well": {[2]string{"home", "plant"}, [2]string{"plant", "home at another port"}},
	} {
		t.Run(change, func(t *testing.T) {
			elsewhere, moved := ports.Free(t).Port, ports.Free(t).Port
			home := startBroker(t, fmt.Sprintf("listener %d 127.0.0.1\n%s", moved, anybody))
			plant := startBroker(t, fmt.Sprintf("listener %d 127.0.0.2\n%s", elsewhere, anybody)) // another host
			home.start()
			plant.start()
			folder := stateFolder(t)
			in := func(names [2]string, edit func(*Settings)) (each []Settings) {
				for i, b := range names {
					if b == "" {
						continue
					}
					s := home.everything("porch", "device")
					s.Section, s.Version = []string{"mqtt", "mqtt_second"}[i], "1"
					switch b {
					case "plant":
						s.URL = fmt.Sprintf("mqtt://127.0.0.2:%d", elsewhere)
					case "home at another port":
						s.URL = fmt.Sprintf("mqtt://127.0.0.1:%d", moved)
					}
					edit(&s)
					each = append(each, s)
				}
				return each
			}
			before := startBrokers(t, folder, in(sections.before, func(*Settings) {})...)
			before.Expect([]Place{{Camera: "door", Pictures: true}, {Camera: "gate"}})
			before.SetCameraStatus("gate", true)
			before.SetLastFace("door", Picture{JPEG: []byte("jpeg"), Plain: true})
			waiting.Until(t, "a face is there", func() bool { return pictures(home.standing(t, "")) == 2 })
			before.stop()

			after := startBrokers(t, folder, in(sections.after, func(s *Settings) { s.Discovery = "off" })...)
			after.Expect([]Place{{Camera: "door", Pictures: true}})
			after.HidePictures("door")
			waiting.Until(t, "neither a face nor a camera that is gone stands there", func() bool {
				standing := home.standing(t, "")
				return pictures(standing) == 0 && !slices.ContainsFunc(standing, func(topic string) bool {
					return strings.Contains(topic, "/gate/") || isDiscovery(topic)
				})
			})
			waiting.Until(t, "nothing of it is remembered", func() bool { return !remembers(t, folder, home.address) })
		})
	}
}

// remembers tells whether any file still has a face or a message to Home Assistant at this broker that was not cleared there: what was
// cleared is cleared once.
func remembers(t *testing.T, folder, address string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "topics", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		read, _, err := readAnnounced(file)
		if err != nil {
			t.Error(err)
		}
		return slices.ContainsFunc(append(read.Elsewhere, read.announcedAt), func(at announcedAt) bool {
			return strings.Contains(at.Broker, address) && at.ClearedAt == "" && (len(at.Plain) > 0 || slices.ContainsFunc(at.Topics, isDiscovery))
		})
	})
}

// startBrokers is a device that tells more than one.
func startBrokers(t *testing.T, folder string, each ...Settings) *device {
	t.Helper()
	d := &device{}
	var err error
	if d.Brokers, err = NewBrokers(each...); err != nil {
		t.Fatal(err)
	}
	if d.closeAll, err = d.Keep(folder, configuration); err != nil {
		t.Fatal(err)
	}
	d.run(t)
	return d
}
