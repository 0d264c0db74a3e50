// SPDX-License-Identifier: Apache-2.0

package event

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"

	"visavis/capture/internal/track"
	"visavis/capture/internal/zone"
)

// clocks are two clocks that run together until the wall clock jumps.
type clocks struct {
	wall        time.Time
	monotonicNs int64
}

func (c *clocks) read() Clock {
	return Clock{Wall: func() time.Time { return c.wall }, MonotonicNs: func() int64 { return c.monotonicNs }}
}

func (c *clocks) wait(d time.Duration) {
	c.wall, c.monotonicNs = c.wall.Add(d), c.monotonicNs+d.Nanoseconds()
}

func (c *clocks) jump(d time.Duration) { c.wall = c.wall.Add(d) }

func newClocks() *clocks {
	return &clocks{wall: time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC), monotonicNs: 5e9}
}

// visitor plays one face that comes, enters a zone, crosses a line and goes.
type visitor struct {
	clocks   *clocks
	recorder *Recorder
	face     track.Track
	events   []Event
}

func newVisitor() *visitor {
	c := newClocks()
	return &visitor{clocks: c, recorder: NewRecorder("door", NewIDs(), c.read())}
}

func (v *visitor) say(m zone.Moment) {
	m.Face = v.face
	v.events = append(v.events, v.recorder.Record(m))
}

func (v *visitor) seen() int64 {
	v.face.SeenNs = v.clocks.monotonicNs
	return v.face.SeenNs
}

// visit waits twenty seconds in the zone and ten beside it, and jumps with the wall clock between all steps.
func (v *visitor) visit(id uint64, jump func()) {
	v.face = track.Track{ID: id, FirstNs: v.clocks.monotonicNs, SeenNs: v.clocks.monotonicNs, Best: track.Box{X: 1.04, Y: 2, W: 30, H: 40, Score: 0.9}}
	first := v.face.FirstNs
	v.say(zone.Moment{Kind: zone.Appeared, BeganNs: first})
	jump()
	v.say(zone.Moment{Kind: zone.Entered, Zone: "step", BeganNs: first})
	v.clocks.wait(20 * time.Second)
	jump()
	v.say(zone.Moment{Kind: zone.Left, Zone: "step", BeganNs: first, EndedNs: v.seen()})
	v.say(zone.Moment{Kind: zone.Crossed, Line: "gate", Direction: zone.In, BeganNs: v.seen()})
	v.clocks.wait(10 * time.Second)
	jump()
	v.say(zone.Moment{Kind: zone.Gone, BeganNs: first, EndedNs: v.seen()})
}

func TestAVisitIsToldWithItsTimesAndDurations(t *testing.T) {
	v := newVisitor()
	v.visit(7, func() {})
	began := time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC)
	want := []struct {
		kind    zone.Kind
		started time.Duration
		ended   time.Duration
		dwellMs int64
	}{{zone.Appeared, 0, -1, -1}, {zone.Entered, 0, -1, -1}, {zone.Left, 0, 20 * time.Second, 20_000}, {zone.Crossed, 20 * time.Second, -1, -1}, {zone.Gone, 0, 30 * time.Second, 30_000}}
	for i, w := range want {
		e := v.events[i]
		if e.Type != w.kind || !e.StartedAt.Equal(began.Add(w.started)) || e.Track != 7 || e.Visit != v.events[0].Visit {
			t.Errorf("%+v, want %+v", e, w)
		}
		if (e.EndedAt == nil) != (w.ended < 0) || e.EndedAt != nil && (!e.EndedAt.Equal(began.Add(w.ended)) || *e.DwellMs != w.dwellMs) {
			t.Errorf("%s ended %v after %v ms, want %+v", e.Type, e.EndedAt, e.DwellMs, w)
		}
	}
}

// A clock that is put right by a little between two events moves none of them before another, also after it was set.
func TestAClockThatIsPutRightBendsNoVisit(t *testing.T) {
	for name, c := range map[string]struct{ set, step time.Duration }{
		"back": {0, -300 * time.Millisecond}, "on": {0, 300 * time.Millisecond}, "back by as good as nothing": {0, -time.Millisecond},
		"set, then back": {time.Hour, -300 * time.Millisecond},
	} {
		v := newVisitor()
		v.face = track.Track{ID: 7, FirstNs: v.clocks.monotonicNs}
		say := func(kind zone.Kind, place string, beganNs int64) Event {
			v.say(zone.Moment{Kind: kind, Zone: place, BeganNs: beganNs, EndedNs: v.seen()})
			return v.events[len(v.events)-1]
		}
		appeared := say(zone.Appeared, "", v.face.FirstNs)
		v.clocks.jump(c.set)
		garden := say(zone.Entered, "garden", v.face.FirstNs)
		v.clocks.wait(100 * time.Millisecond)
		v.clocks.jump(c.step)
		step := say(zone.Entered, "step", v.clocks.monotonicNs)
		left := say(zone.Left, "garden", v.face.FirstNs)
		if garden.StartedAt.Sub(appeared.StartedAt.Time) != c.set || step.StartedAt.Sub(garden.StartedAt.Time) != 100*time.Millisecond {
			t.Errorf("%s: it entered at %v and %v, and appeared at %v", name, garden.StartedAt, step.StartedAt, appeared.StartedAt)
		}
		if left.EndedAt.Sub(left.StartedAt.Time) != 100*time.Millisecond {
			t.Errorf("%s: it was there from %v to %v", name, left.StartedAt, left.EndedAt)
		}
	}
}

func TestTheNextVisitHasTheTimeOfAClockThatWasPutRight(t *testing.T) {
	v := newVisitor()
	v.visit(7, func() {})
	v.clocks.jump(-300 * time.Millisecond)
	began := v.clocks.wall
	v.visit(8, func() {})
	if got := v.events[5].StartedAt; !got.Equal(began) {
		t.Errorf("it began at %v, want %v", got, began)
	}
}

func TestClockJumpsBendNoDurationAndNoOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := newVisitor()
		jumps := rapid.SampledFrom([]time.Duration{0, -10 * 365 * 24 * time.Hour, 10 * 365 * 24 * time.Hour, 24 * time.Hour, -time.Millisecond, -60 * 365 * 24 * time.Hour})
		for id := range uint64(3) {
			v.visit(id+1, func() { v.clocks.jump(jumps.Draw(t, "jump")) })
		}
		last := ""
		for i, e := range v.events {
			if e.ID <= last {
				t.Fatalf("id %s after %s", e.ID, last)
			}
			last = e.ID
			switch e.Type {
			case zone.Left:
				if *e.DwellMs != 20_000 || e.StartedAt != v.events[i-1].StartedAt {
					t.Fatalf("left %+v, entered %+v", e, v.events[i-1])
				}
			case zone.Gone:
				if *e.DwellMs != 30_000 || e.StartedAt != v.events[i-4].StartedAt || e.Visit != v.events[i-4].Visit {
					t.Fatalf("gone %+v, appeared %+v", e, v.events[i-4])
				}
			}
		}
	})
}

func eventSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("../../../contracts/schemas/event.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// fitting is an event as it is sent, which must fit the schema.
func fitting(t *testing.T, schema *jsonschema.Schema, e Event) []byte {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s: %v", text, err)
	}
	return text
}

func TestEveryKindOfEventFitsTheSchema(t *testing.T) {
	schema := eventSchema(t)
	v := newVisitor()
	v.visit(7, func() {})
	v.events[4].Thumbnail = ThumbnailPath(v.events[4].ID)
	for _, e := range v.events {
		text := fitting(t, schema, e)
		var read Event
		if err := json.Unmarshal(text, &read); err != nil || read.ID != e.ID || !read.StartedAt.Equal(e.StartedAt.Truncate(time.Millisecond)) {
			t.Errorf("%s is read as %+v (%v)", text, read, err)
		}
	}
}

func TestIDsAreULIDsAndRiseWithinAMillisecondAndBeyondTheEndOfTime(t *testing.T) {
	ids, last := NewIDs(), ""
	for _, at := range []time.Time{{}, time.UnixMilli(5), time.UnixMilli(5), time.UnixMilli(4), ulid.Time(ulid.MaxTime()).Add(time.Hour), time.UnixMilli(6)} {
		id := ids.Next(at)
		if _, err := ulid.ParseStrict(id); err != nil || id <= last {
			t.Fatalf("%q after %q: %v", id, last, err)
		}
		last = id
	}
}

func TestAForgottenVisitLeavesNothingBehind(t *testing.T) {
	v := newVisitor()
	for id := range uint64(100) {
		v.visit(id+1, func() {})
	}
	if len(v.recorder.visits) != 0 {
		t.Errorf("%d visits are still held", len(v.recorder.visits))
	}
}
