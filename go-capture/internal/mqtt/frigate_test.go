// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"visavis/capture/internal/event"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/outbox"
	"visavis/capture/internal/waiting"
	"visavis/capture/internal/zone"
)

var began = time.Date(2026, 11, 24, 20, 0, 0, 123e6, time.UTC)

// visit makes the events of one face: each at its second.
func visit(kind zone.Kind, second int, in string) event.Event {
	id := ulid.MustNew(ulid.Timestamp(began), strings.NewReader("0123456789"))
	e := event.Event{
		Schema: 1, Type: kind, ID: fmt.Sprintf("%026d", second), Visit: id.String(), Camera: "door", Track: 7, Zone: in,
		StartedAt: event.Time{Time: began}, Best: event.Best{Box: [4]float64{10.5, 20, 30, 40.2}, Score: 0.8},
	}
	if kind == zone.Left || kind == zone.Gone {
		ended := event.Time{Time: began.Add(time.Duration(second) * time.Second)}
		e.EndedAt = &ended
	}
	return e
}

func look(second int, score float32) *hub.Result {
	return &hub.Result{
		Camera: "door", Width: 640, Height: 480, CapturedAt: began.Add(time.Duration(second) * time.Second), CapturedNs: int64(second+1) * 1e9,
		Faces: []hub.Face{{Box: geometry.Box{X: 100, Y: 50, W: 20, H: 40}, Score: score, Track: 7}},
	}
}

func fitsFrigate(t *testing.T, name string, payload []byte) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("../../../contracts/schemas/frigate_" + name + ".schema.json")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(string(payload)))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		t.Errorf("%s: %v", payload, err)
	}
}

func TestAVisitIsToldAsFrigateTellsOfAnObject(t *testing.T) {
	faces := newFrigateFaces()
	faces.see(&hub.Result{Camera: "door", Width: 640, Height: 480})
	var told []frigateMessage
	told = append(told, faces.hear(visit(zone.Appeared, 0, ""), true)...)
	told = append(told, faces.hear(visit(zone.Entered, 1, "step"), true)...)
	told = append(told, faces.hear(visit(zone.Crossed, 2, ""), true)...)
	told = append(told, faces.see(look(3, 0.95))...) // better, but too soon after the first look
	told = append(told, faces.see(look(9, 0.9))...)
	told = append(told, faces.see(look(20, 0.7))...) // not better
	told = append(told, faces.hear(visit(zone.Left, 30, "step"), true)...)
	told = append(told, faces.hear(visit(zone.Gone, 40, ""), true)...)
	var kinds []string
	for i, m := range told {
		kinds = append(kinds, m.Type)
		if m.After.ID != "1795550400.123000-"+m.After.ID[18:] || m.After.ID != told[0].After.ID || m.After.StartTime != 1795550400.123 {
			t.Errorf("id %s, start %f", m.After.ID, m.After.StartTime)
		}
		if i > 0 && fmt.Sprint(m.Before) != fmt.Sprint(told[i-1].After) {
			t.Errorf("before is %+v, told was %+v", m.Before, told[i-1].After)
		}
		payload, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		fitsFrigate(t, "event", payload)
	}
	if want := []string{"new", "update", "update", "update", "end"}; !slices.Equal(kinds, want) {
		t.Fatalf("%v, want %v", kinds, want)
	}
	if first := told[0].After; first.Box != [4]int{10, 20, 41, 61} || first.Area != 31*41 || first.Region != [4]int{0, 0, 640, 480} || first.EndTime != nil {
		t.Errorf("new: %+v", first)
	}
	if better := told[2].After; better.TopScore != 0.95 || better.Score != 0.9 || better.Box != [4]int{100, 50, 120, 90} || better.Snapshot.FrameTime != 1795550403.123 {
		t.Errorf("update: %+v", better)
	}
	if left := told[3].After; len(left.CurrentZones) != 0 || !slices.Equal(left.EnteredZones, []string{"step"}) {
		t.Errorf("left: %+v", left)
	}
	if last := told[4].After; last.EndTime == nil || *last.EndTime != 1795550440.123 || last.Active || len(faces.visits)+len(faces.tracks) != 0 {
		t.Errorf("end: %+v", last)
	}
}

func TestAVisitThatAKillCutOffEndsUnderTheSameID(t *testing.T) {
	before, after := newFrigateFaces(), newFrigateFaces()
	first := before.hear(visit(zone.Appeared, 0, ""), false)[0]
	last := after.hear(visit(zone.Gone, 40, ""), false)
	if len(last) != 1 || last[0].Type != "end" || last[0].After.ID != first.After.ID || last[0].After.StartTime != first.After.StartTime {
		t.Errorf("%+v after %+v", last, first)
	}
}

func TestTheEndOfAVisitThatAKillCutOffKnowsWhatWasToldBefore(t *testing.T) {
	confirmed := ulid.MustNew(ulid.Timestamp(began.Add(700*time.Millisecond)), strings.NewReader("0123456789")).String()
	told := []event.Event{visit(zone.Appeared, 0, ""), visit(zone.Entered, 1, "step"), visit(zone.Entered, 2, "mat")}
	before, after := newFrigateFaces(), newFrigateFaces()
	var known, end frigateObject
	for i := range told {
		told[i].Visit = confirmed
		known = before.hear(told[i], false)[0].After
	}
	for _, e := range event.Closing(told, event.NewIDs(), event.Clock{Wall: time.Now}) {
		end = after.hear(e, false)[0].After
	}
	if end.ID != known.ID || end.StartTime != known.StartTime || !slices.Equal(end.EnteredZones, known.EnteredZones) || end.EndTime == nil {
		t.Errorf("%+v after %+v", end, known)
	}
}

// startFrigate runs one with an outbox of its own until the test ends or stop is called.
func startFrigate(t *testing.T, s Settings) (f *Frigate, stop func()) {
	t.Helper()
	s.FrigatePrefix, s.Version = "frigate", "1"
	f, err := NewFrigate(s)
	if err != nil {
		t.Fatal(err)
	}
	events, err := outbox.Open(outbox.Settings{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	f.EventsFrom(events)
	f.StatsFrom(func() Stats {
		return Stats{Cameras: map[string]CameraStats{"door": {FPSCaptured: 30, FPSInferred: 20}}}
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := events.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return f, stop
}

func TestFrigatesTopicsAreToldOverARealBroker(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	seen, away := b.subscribe(), layLine(t, b.address)
	f, stop := startFrigate(t, (&broker{address: away.address}).settings())
	f.Expect([]Place{{Camera: "door", Zones: []string{"step", "gate"}, Pictures: true}, {Camera: "gate", Zones: []string{"step"}}})
	f.TakeEvent(visit(zone.Appeared, 0, "")) // waits for the broker
	away.start(t)
	f.SetCameraStatus("door", true)
	f.TakeState(hub.State{Camera: "door", Confirmed: 2})
	f.TakeState(hub.State{Camera: "door", Zone: "step", Confirmed: 2})
	f.TakeState(hub.State{Camera: "gate", Zone: "step", Confirmed: 1})
	f.TakeState(hub.State{Camera: "door", Zone: "gate", Confirmed: 9}) // called as a camera
	f.SetLastFace("door", Picture{JPEG: []byte("jpeg")})
	for topic, want := range map[string]string{
		"available": "online", "door/face": "2", "door/all": "2", "door/face/active": "2", "step/face": "3", "step/all": "3",
		"door/status/detect": "online", "door/face/snapshot": "jpeg",
	} {
		waiting.Until(t, topic+" = "+want, func() bool { return seen.last("frigate/"+topic) == want })
	}
	waiting.Until(t, "the event that waited", func() bool { return seen.last("frigate/events") != "" })
	fitsFrigate(t, "event", []byte(seen.last("frigate/events")))
	waiting.Until(t, "figures", func() bool { return seen.last("frigate/stats") != "" })
	fitsFrigate(t, "stats", []byte(seen.last("frigate/stats")))
	if got := seen.last("frigate/gate/face"); got != "" {
		t.Errorf("the zone called as a camera was told: %s", got)
	}
	f.Expect([]Place{{Camera: "gate", Zones: []string{"step"}}})
	waiting.Until(t, "the picture is taken back", func() bool { heard := seen.all("frigate/door/face/snapshot"); return heard[len(heard)-1] == "" })
	stop()
	waiting.Until(t, "stopped", func() bool { return seen.last("frigate/available") == "stopped" })
	late := b.subscribe()
	waiting.Until(t, "stopped is retained", func() bool { return late.last("frigate/available") == "stopped" })
}

// due takes what would be told now.
func due(f *Frigate) map[string]string {
	told := map[string]string{}
	for topic, payload, found := f.newest.next(); found; topic, payload, found = f.newest.next() {
		told[topic] = payload
	}
	return told
}

func TestACameraThatIsGoneIsNotToldOfAgain(t *testing.T) {
	f, err := NewFrigate(Settings{URL: "mqtt://127.0.0.1:1", Device: "porch", FrigatePrefix: "frigate"})
	if err != nil {
		t.Fatal(err)
	}
	f.Expect([]Place{{Camera: "door"}, {Camera: "gate"}})
	for _, camera := range []string{"door", "gate"} {
		f.SetCameraStatus(camera, true)
		f.TakeState(hub.State{Camera: camera, Confirmed: 1})
	}
	due(f)
	f.Expect([]Place{{Camera: "gate"}})
	f.SetCameraStatus("door", false)
	f.TakeState(hub.State{Camera: "door"})
	if told := due(f); told["frigate/door/status/detect"] != "offline" || told["frigate/door/all"] != "0" || len(told) != 5 {
		t.Errorf("the last words are %v", told)
	}
	f.newest.again() // the next connection
	if told := due(f); len(told) != 5 || told["frigate/gate/all"] != "1" {
		t.Errorf("told again: %v", told)
	}
}

func TestACameraThatIsSwitchedOffIsNotBroken(t *testing.T) {
	f, err := NewFrigate(Settings{URL: "mqtt://127.0.0.1:1", Device: "porch", FrigatePrefix: "frigate"})
	if err != nil {
		t.Fatal(err)
	}
	detects := func() bool {
		return f.statsOf(Stats{Cameras: map[string]CameraStats{"door": {}}}).Cameras["door"].DetectionEnabled
	}
	f.Expect([]Place{{Camera: "door"}})
	for _, step := range []struct {
		does     func()
		says     string
		detected bool
	}{
		{func() { f.SetState("door", "enabled", "ON"); f.SetState("door", "detect", "ON") }, "offline", true},
		{func() { f.SetCameraStatus("door", true) }, "online", true},
		{func() { f.SetState("door", "enabled", "OFF"); f.SetCameraStatus("door", false) }, "disabled", true},
		{func() { f.SetState("door", "enabled", "ON"); f.SetState("door", "detect", "OFF") }, "offline", false},
		{func() { f.SetCameraStatus("door", true) }, "online", false},
	} {
		step.does()
		if said := due(f)["frigate/door/status/detect"]; said != step.says || detects() != step.detected {
			t.Errorf("%q, detection %v; want %+v", said, detects(), step)
		}
	}
}

func TestFrigatesWillIsOffline(t *testing.T) {
	b := startBroker(t, anybody)
	b.start()
	seen := b.subscribe()
	f, err := NewFrigate(Settings{URL: b.settings().URL, Device: "porch", FrigatePrefix: "frigate"})
	if err != nil {
		t.Fatal(err)
	}
	client, err := f.connect(context.Background(), f.will(), make(chan error, 1))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Disconnect(0)
	thief, err := f.connect(context.Background(), will{topic: "x", payload: []byte("x")}, make(chan error, 1)) // the same name: the first is thrown out
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Disconnect(0)
	waiting.Until(t, "offline", func() bool { return seen.last("frigate/available") == "offline" })
}
