// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// begun are the events of a visit until just before it ends: it is in the zone, or has left it.
func begun(events int) []Event {
	v := newVisitor()
	v.visit(7, func() {})
	return v.events[:events]
}

func TestAVisitThatWasCutOffEndsWhereItWasLastToldOf(t *testing.T) {
	for name, c := range map[string]struct {
		told []Event
		want string // type, zone, dwell in seconds
	}{
		"appeared": {begun(1), "[gone  0]"},
		"entered":  {begun(2), "[left step 0] [gone  0]"},
		"left":     {begun(3), "[gone  20]"},
		"crossed":  {begun(4), "[gone  20]"},
		"nobody":   {nil, ""},
	} {
		got := ""
		for _, e := range Closing(c.told, NewIDs(), newClocks().read()) {
			got += fmt.Sprintf(" [%s %s %d]", e.Type, e.Zone, *e.DwellMs/1000)
			if e.Visit != c.told[0].Visit || e.StartedAt != c.told[0].StartedAt || !e.CutOff || e.Line != "" || e.Direction != "" {
				t.Errorf("%s: %+v", name, e)
			}
		}
		if got != map[bool]string{true: " " + c.want, false: ""}[c.want != ""] {
			t.Errorf("%s:%s, want %s", name, got, c.want)
		}
	}
}

func TestAClockThatWasSetDuringAVisitMakesItNoDecades(t *testing.T) {
	for told, want := range map[int]string{ // appeared in 1970, entered when the clock was set, left after 20 s, crossed
		1: "[gone 0]", 2: "[left 0] [gone 0]", 3: "[gone 20]", 4: "[gone 20]",
	} {
		v, jumped := newVisitor(), false
		v.clocks.jump(-56 * 365 * 24 * time.Hour)
		v.visit(7, func() {
			if !jumped {
				v.clocks.jump(56 * 365 * 24 * time.Hour)
			}
			jumped = true
		})
		var got []string
		for _, e := range Closing(v.events[:told], NewIDs(), newClocks().read()) {
			got = append(got, fmt.Sprintf("[%s %d]", e.Type, *e.DwellMs/1000))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%d events: %v, want %s", told, got, want)
		}
	}
}

func TestEachVisitEndsForItselfAndIdsGoOnAboveThoseOfBefore(t *testing.T) {
	first, second := begun(2), begun(1)
	last := first[1].ID
	ids := NewIDs()
	if err := ids.GoOn(last); err != nil {
		t.Fatal(err)
	}
	clocks := newClocks()
	clocks.jump(-10 * 365 * 24 * time.Hour)
	var kinds []string
	for _, e := range Closing(append(first, second...), ids, clocks.read()) {
		if e.ID <= last {
			t.Errorf("id %s after %s", e.ID, last)
		}
		last = e.ID
		kinds = append(kinds, fmt.Sprint(e.Type, e.Visit == second[0].Visit))
	}
	if fmt.Sprint(kinds) != "[leftfalse gonefalse gonetrue]" {
		t.Errorf("%v", kinds)
	}
	if err := ids.GoOn("no id"); err == nil {
		t.Error("no id was taken for one")
	}
}

func TestTheEndOfACutOffVisitFitsTheSchema(t *testing.T) {
	schema := eventSchema(t)
	for _, e := range Closing(begun(2), NewIDs(), newClocks().read()) {
		fitting(t, schema, e)
	}
}
