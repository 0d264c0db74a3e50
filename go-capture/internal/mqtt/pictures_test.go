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

// hiding is the next process of a device, whose file now says pixelate, and at whose camera nobody appears.
func hiding(t *testing.T, folder string, s Settings) (stop func()) {
	t.Helper()
	next, err := NewBrokers(s)
	if err != nil {
		t.Fatal(err)
	}
	closeAll, err := next.Keep(folder, configuration)
	if err != nil {
		t.Fatal(err)
	}
	next.Expect([]Place{{Camera: "door", Pictures: true}})
	next.HidePictures("door")
	return runBrokers(t, next, closeAll)
}

func TestPlainFacesOfAnEarlierRunAreTakenBackAndHiddenOnesStay(t *testing.T) {
	for plain, left := range map[bool]int{true: 0, false: 3} {
		b := startBroker(t, anybody)
		b.start()
		folder := t.TempDir()
		shown(t, b, folder, Picture{[]byte("somebody"), plain}).stop()
		stop := hiding(t, folder, b.everything("porch", "off"))
		waiting.Until(t, "what is plain is gone", func() bool { return len(b.pictures(t)) == left })
		stop()
	}
}

// overALine is a broker, a line that leads to it, and who reaches it over that line.
func overALine(t *testing.T) (*broker, *line, Settings) {
	t.Helper()
	b := startBroker(t, anybody)
	b.start()
	l := startLine(t, b.address)
	s := b.everything("porch", "off")
	s.URL = "mqtt://" + l.address
	return b, l, s
}

func TestPlainFacesAreTakenBackOverALineThatLosesTheMessage(t *testing.T) {
	b, line, s := overALine(t)
	d := shownBy(t, b, t.TempDir(), s, Picture{[]byte("a face"), true})
	line.lose(true)
	d.HidePictures("door")
	waiting.Until(t, "they are lost on the way", func() bool {
		lost := line.lost()
		return strings.Contains(lost, "door/last_face") && strings.Contains(lost, "door/snapshot") && strings.Contains(lost, "door/face/snapshot")
	})
	line.lose(false)
	line.let(true)
	waiting.Until(t, "they are gone", func() bool { return len(b.pictures(t)) == 0 })
}

func TestPlainFacesAreTakenBackAlthoughHiddenOnesWaitedWhenTheDaemonEnded(t *testing.T) {
	b, line, s := overALine(t)
	folder := t.TempDir()
	d := shownBy(t, b, folder, s, Picture{[]byte("a face"), true})
	line.let(false)
	waiting.Until(t, "the broker is away", func() bool { return !d.allThere() })
	d.HidePictures("door")
	d.SetLastFace("door", Picture{[]byte("pixels"), false})
	d.stop()
	if got := b.pictures(t); len(got) != 3 {
		t.Fatalf("at the broker stand %v", got)
	}
	line.let(true)
	hiding(t, folder, s)
	waiting.Until(t, "they are gone", func() bool { return len(b.pictures(t)) == 0 })
}

// A picture that was sent may be lost with its connection: only what the broker acknowledges tells that it holds no other.
func TestATopicShowsFacesUntilTheBrokerHasForgottenThem(t *testing.T) {
	const topic = "visavis/porch/door/last_face"
	s := newStates("porch")
	plain := func() int { return len(s.announced().Plain) }
	say := func(want string) saying {
		t.Helper()
		now, found := s.next()
		if !found || now.payload != want {
			t.Fatalf("said is %q, %t, want %q", now.payload, found, want)
		}
		return now
	}
	s.picture(topic, Picture{[]byte("a face"), true})
	say("a face")
	s.picture(topic, Picture{[]byte("pixels"), false})
	first := say("")
	say("pixels")
	s.connected(true) // another connection, for the first has lost both
	s.acknowledged(first)
	if plain() != 1 {
		t.Fatal("what an earlier connection has sent counts")
	}
	s.hide(topic) // comes to nothing: it is about to be
	second := say("")
	say("pixels")
	s.picture(topic, Picture{[]byte("another face"), true})
	s.acknowledged(second)
	if say("another face"); plain() != 1 {
		t.Fatal("a face that came after it is forgotten")
	}
	s.hide(topic)
	s.acknowledged(say(""))
	if now, found := s.next(); found || plain() != 0 {
		t.Errorf("left is %+v, %d plain", now, plain())
	}
}
