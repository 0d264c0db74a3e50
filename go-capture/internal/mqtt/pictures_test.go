// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"strings"
	"testing"

	"visavis/capture/internal/waiting"
)

// shown is a device at a broker whose camera door has retained a picture in each form.
func shown(t *testing.T, b *broker, folder string, p Picture) *device {
	t.Helper()
	return shownBy(t, b, folder, b.everything("porch", "off"), p)
}

func shownBy(t *testing.T, b *broker, folder string, s Settings, p Picture) *device {
	t.Helper()
	d := startDevice(t, folder, configuration, s)
	d.SetSnapshot("door", p)
	d.SetLastFace("door", p)
	waiting.Until(t, "the pictures are there", func() bool { return len(b.pictures(t)) == 3 })
	return d
}

// pictures are the topics of those that a broker holds.
func (b *broker) pictures(t *testing.T) (found []string) {
	t.Helper()
	for _, topic := range b.standing(t, "") {
		if isPicture(topic) {
			found = append(found, topic)
		}
	}
	return found
}

func TestPlainFacesAreTakenBackWhenTheyAreHidden(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	d := shown(t, b, t.TempDir(), Picture{[]byte("a face"), true})
	d.HidePictures("gate")
	if got := b.pictures(t); len(got) != 3 {
		t.Errorf("of another camera stand %v", got)
	}
	d.HidePictures("door")
	waiting.Until(t, "they are gone", func() bool { return len(b.pictures(t)) == 0 })
	d.SetLastFace("door", Picture{[]byte("pixels"), false})
	waiting.Until(t, "others come", func() bool { return len(b.pictures(t)) == 2 })
}

func TestPlainFacesOfAnEarlierRunAreTakenBackAndHiddenOnesStay(t *testing.T) {
	for plain, left := range map[bool]int{true: 0, false: 3} {
		b := startBroker(t, anybody)
		b.start()
		folder := t.TempDir()
		shown(t, b, folder, Picture{[]byte("somebody"), plain}).stop()
		next, err := NewBrokers(b.everything("porch", "off"))
		if err != nil {
			t.Fatal(err)
		}
		closeAll, err := next.Keep(folder, configuration)
		if err != nil {
			t.Fatal(err)
		}
		next.Expect([]Place{{Camera: "door", Pictures: true}})
		next.HidePictures("door") // the file says pixelate now
		stop := runBrokers(t, next, closeAll)
		waiting.Until(t, "what is plain is gone", func() bool { return len(b.pictures(t)) == left })
		stop()
	}
}

func TestPlainFacesAreTakenBackOverALineThatLosesTheMessage(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	line := startLine(t, b.address)
	s := b.everything("porch", "off")
	s.URL = "mqtt://" + line.address
	d := shownBy(t, b, t.TempDir(), s, Picture{[]byte("a face"), true})
	line.lose(true)
	d.HidePictures("door")
	waiting.Until(t, "they are lost on the way", func() bool {
		lost := line.lost()
		return strings.Contains(lost, "door/last_face") && strings.Contains(lost, "door/snapshot") && strings.Contains(lost, "door/face/snapshot")
	})
	line.lose(false)
	line.cut()
	waiting.Until(t, "they are gone", func() bool { return len(b.pictures(t)) == 0 })
}
