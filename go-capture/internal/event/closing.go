// SPDX-License-Identifier: Apache-2.0

package event

import (
	"slices"

	"visavis/capture/internal/clock"
	"visavis/capture/internal/zone"
)

// open is a visit of which no end was told.
type open struct {
	first, last Event
	until       Time // when it was last told of
	set         Time // the first time told of by a clock that had been set; zero if there was none
	stays       []Event
}

// Closing makes the events that end visits which a killed daemon left open: Left for each zone, then Gone, with CutOff set. When the
// face really left nobody knows, so they end where they were last told of. The events are those of the visits so far, in order.
func Closing(unfinished []Event, ids *IDs, now Clock) []Event {
	visits := map[string]*open{}
	var order []*open
	for _, e := range unfinished {
		v, known := visits[e.Visit]
		if !known {
			v = &open{first: e}
			visits[e.Visit] = v
			order = append(order, v)
		}
		v.hear(e)
	}
	var closing []Event
	for _, v := range order {
		for _, began := range append(v.stays, v.first) {
			closing = append(closing, v.end(began, ids.Next(now.Wall())))
		}
	}
	return closing
}

func (v *open) hear(e Event) {
	v.last = e
	v.told(e.StartedAt)
	switch e.Type {
	case zone.Entered:
		v.stays = append(v.stays, e)
	case zone.Left:
		v.stays = slices.DeleteFunc(v.stays, func(stay Event) bool { return stay.Zone == e.Zone })
	}
	if e.EndedAt != nil {
		v.told(*e.EndedAt)
	}
}

func (v *open) told(at Time) {
	v.until = later(v.until, at)
	if v.set.IsZero() && !at.Before(clock.Earliest) {
		v.set = at
	}
}

// since is when what began at a time began for its length, of which only times of day are known: those of a clock that was not set yet,
// as of a board that wakes in 1970, would make it decades.
func (v *open) since(began Time) Time {
	if began.Before(clock.Earliest) && !v.set.IsZero() {
		return v.set
	}
	return began
}

// end ends a stay in a zone, or the whole visit, by the event that began it.
func (v *open) end(began Event, id string) Event {
	e := v.last
	e.Type, e.ID, e.Zone, e.Line, e.Direction, e.CutOff = zone.Gone, id, began.Zone, "", "", true
	if began.Zone != "" {
		e.Type = zone.Left
	}
	ended, dwellMs := v.until, max(v.until.Sub(v.since(began.StartedAt).Time), 0).Milliseconds()
	e.StartedAt, e.EndedAt, e.DwellMs = began.StartedAt, &ended, &dwellMs
	return e
}

func later(a, b Time) Time {
	if b.After(a.Time) {
		return b
	}
	return a
}
