// SPDX-License-Identifier: Apache-2.0

package event

import (
	"fmt"
	"testing"
	"time"

	"visavis/capture/internal/track"
	"visavis/capture/internal/zone"
)

// Two zones that overlap: who has left one is still in the other.
func TestWhoHasLeftOneOfTwoZonesIsStillInTheOther(t *testing.T) {
	v := newVisitor()
	v.face = track.Track{ID: 7, FirstNs: v.clocks.monotonicNs, Best: track.Box{W: 30, H: 40, Score: 0.6}}
	say := func(kind zone.Kind, place string) {
		v.say(zone.Moment{Kind: kind, Zone: place, BeganNs: v.face.FirstNs, EndedNs: v.clocks.monotonicNs})
		v.clocks.wait(time.Second)
	}
	say(zone.Appeared, "")
	say(zone.Entered, "garden")
	say(zone.Entered, "step")
	v.face.Best.Score = 0.9
	say(zone.Left, "step")
	got := ""
	for _, e := range Closing(v.events, NewIDs(), v.clocks.read()) {
		got += fmt.Sprintf(" [%s %s %.1f]", e.Type, e.Zone, e.Best.Score)
	}
	if got != " [left garden 0.9] [gone  0.9]" {
		t.Errorf("closed by%s", got)
	}
}

func TestEachZoneHasATimeOfItsOwn(t *testing.T) {
	v := newVisitor()
	began := v.clocks.wall
	v.face = track.Track{ID: 7, FirstNs: v.clocks.monotonicNs}
	v.say(zone.Moment{Kind: zone.Appeared, BeganNs: v.clocks.monotonicNs})
	for _, name := range []string{"garden", "step"} {
		v.say(zone.Moment{Kind: zone.Entered, Zone: name, BeganNs: v.clocks.monotonicNs})
		v.clocks.wait(time.Minute)
	}
	v.say(zone.Moment{Kind: zone.Left, Zone: "garden", BeganNs: v.face.FirstNs, EndedNs: v.seen()})
	if got := v.events[3].StartedAt; !got.Equal(began) {
		t.Errorf("it was in the garden from %v on, want %v", got, began)
	}
}
