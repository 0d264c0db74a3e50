// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"visavis/capture/internal/hub"
	"visavis/capture/internal/waiting"
)

// twoBrokers are both told by one daemon that keeps its files in the folder. The settings' sections are mqtt and mqtt_second.
func twoBrokers(t *testing.T, home, plant *broker, folder string) *Brokers {
	t.Helper()
	second := plant.settings()
	second.Section, second.Prefix = "mqtt_second", "plant"
	both, err := NewBrokers(home.settings(), second)
	if err != nil {
		t.Fatal(err)
	}
	closeAll, err := both.Keep(folder, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := closeAll(context.Background()); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- both.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return both
}

func (b *Brokers) allThere() bool {
	return !slices.ContainsFunc(b.States(), func(s BrokerState) bool { return !s.Connected })
}

func TestAFolderThatAnotherDaemonHasIsNamedOnceWithTheRemedy(t *testing.T) {
	home, folder := startBroker(t, anybody), t.TempDir()
	keep := func() (func(context.Context) error, error) {
		made, err := NewBrokers(home.settings())
		if err != nil {
			t.Fatal(err)
		}
		return made.Keep(folder, "")
	}
	closeFirst, err := keep()
	if err != nil {
		t.Fatal(err)
	}
	defer closeFirst(context.Background())
	_, err = keep()
	if err == nil || strings.Count(err.Error(), folder) != 1 || !strings.Contains(err.Error(), "end that one, or set VISAVIS_STATE_DIR") {
		t.Errorf("said: %v", err)
	}
}

// A broker ends the connection of whoever has the client id of a new one.
func TestNoTwoConnectionsHaveOneClientID(t *testing.T) {
	seen := map[string]string{}
	for _, device := range []string{"porch", "porch-second", "porch-frigate", "porch-second-frigate", "porch-sparkplug"} {
		for _, section := range []string{"mqtt", "mqtt_second"} {
			made, err := NewBrokers(Settings{Section: section, URL: "mqtt://broker", Prefix: "visavis", Device: device,
				Formats: []string{"native", "frigate", "sparkplug"}, FrigatePrefix: "frigate", SparkplugGroup: "visavis"})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range made.all {
				id := linkOf(f).client
				if other, taken := seen[id]; taken {
					t.Errorf("%s is the client id of %s and of %s", id, other, device)
				}
				seen[id] = device
			}
		}
	}
}

func linkOf(f form) *link {
	switch f := f.(type) {
	case *Publisher:
		return f.link
	case *Frigate:
		return f.link
	case *Sparkplug:
		return f.link
	}
	return nil
}

// One broker is away for 500 events and frames: the other gets each at once, and that one gets all events later, in order.
func TestABrokerThatIsAwayHoldsUpNoOther(t *testing.T) {
	home, plant := startBroker(t, anybody), startBroker(t, anybody)
	home.start()
	plant.start()
	away := layLine(t, plant.address)
	both := twoBrokers(t, home, &broker{address: away.address}, t.TempDir())
	seen, late := home.subscribe(), plant.subscribeTo("plant/#") // who subscribes when it is back may miss the first
	waiting.Until(t, "the first is there and the other told why not", func() bool {
		states := both.States()
		return states[0].Connected && !states[1].Connected && strings.Contains(states[1].Error, "check mqtt_second.url")
	})
	for n := range 500 {
		both.TakeEvent(happening(n))
		both.Take(result(uint64(2*n+2), hub.Dropped{NoSlot: 1}))
		waiting.Until(t, "the backlog has room", func() bool { return both.natives[0].backlog.size() < backlogMost })
	}
	waiting.Until(t, "the first broker has all", func() bool {
		return len(seen.all(topicEvents)) >= 500 && len(seen.all(topicDetections)) == 500
	})
	order(t, seen.all(topicEvents), 500)
	addsUp(t, seen.all(topicDetections))
	if states := both.States(); states[1].Waiting != 500 || states[1].Replaced != 499 || states[0].Replaced != 0 {
		t.Errorf("%+v: each broker counts for itself", states)
	}
	away.start(t)
	waiting.Until(t, "both are there", both.allThere)
	waiting.Until(t, "the other broker has all events", func() bool { return len(late.all("plant/porch/events")) >= 500 })
	order(t, late.all("plant/porch/events"), 500)
	waiting.Until(t, "none waits", func() bool { return both.States()[0].Waiting+both.States()[1].Waiting == 0 })
}

func TestEachBrokerHasFilesOfItsOwnAndAKilledDaemonGoesOnForBoth(t *testing.T) {
	home, plant := startBroker(t, anybody), startBroker(t, anybody)
	folder := t.TempDir()
	t.Run("before", func(t *testing.T) {
		both := twoBrokers(t, home, plant, folder)
		for n := range 10 {
			both.TakeEvent(happening(n))
		}
	})
	for _, name := range []string{"outbox/porch", "outbox/porch.second", "topics/porch.json", "topics/porch.second.json"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			t.Error(err)
		}
	}
	home.start()
	plant.start()
	first, second := home.subscribe(), plant.subscribeTo("plant/#")
	twoBrokers(t, home, plant, folder)
	waiting.Until(t, "both get them", func() bool { return len(first.all(topicEvents)) >= 10 && len(second.all("plant/porch/events")) >= 10 })
	order(t, first.all(topicEvents), 10)
	order(t, second.all("plant/porch/events"), 10)
}

func TestEventsThatAnotherDaemonOrReleaseKeepsStay(t *testing.T) {
	folder := t.TempDir()
	running := waits(t, folder, "porch", 3)
	if err := waits(t, folder, "porch.frigate", 3).Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	segment := filepath.Join(folder, "outbox", "porch.frigate", "00000000000000000001.events")
	raw := ofVersion2(t, segment)
	closeOthers := (*Brokers)(nil).LetOthersAge(folder, "porch")
	if left := running.Stats().Waiting; left != 3 {
		t.Errorf("%d are left of those of a daemon that runs", left)
	}
	if after, err := os.ReadFile(segment); err != nil || !bytes.Equal(after, raw) {
		t.Errorf("what another release wrote has changed, %v", err)
	}
	if err := closeOthers(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestCommandsOfBothBrokersAreObeyedOneAfterAnother(t *testing.T) {
	brokers := &Brokers{}
	for range 2 {
		s := Settings{URL: "mqtt://127.0.0.1:1", Prefix: "visavis", Device: "porch", Commands: true}
		brokers.natives = append(brokers.natives, newPublisher(t, s))
	}
	busy := 0
	brokers.CommandsTo(func(Command) error {
		busy++ // the race detector sees two at once
		return nil
	})
	done := make(chan struct{})
	for _, p := range brokers.natives {
		go func() {
			for range 100 {
				p.commands.carryOut(Command{})
			}
			done <- struct{}{}
		}()
	}
	<-done
	<-done
	if got := brokers.Commands(); busy != 200 || got.Obeyed != 200 || !got.Taken {
		t.Errorf("%d obeyed, counted are %+v", busy, got)
	}
}
