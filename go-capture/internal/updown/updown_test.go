// SPDX-License-Identifier: Apache-2.0

package updown

import (
	"strconv"
	"testing"
	"time"
)

// clock is a time that a test sets.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func (c *clock) pass(how time.Duration) { c.at = c.at.Add(how) }

func made() (*Teller, *clock) {
	c := &clock{at: time.Unix(1_800_000_000, 0)}
	return New(c.now), c
}

func TestEachLossOfWhatHeldIsSaidAndItsEndToo(t *testing.T) {
	teller, clock := made()
	if !teller.Back() {
		t.Error("it is not said that it came")
	}
	for range 3 {
		clock.pass(heldFor)
		if !teller.Lost("cable") || teller.Lost("cable") {
			t.Error("a loss is not said once")
		}
		if !teller.Lost("no answer") {
			t.Error("another reason is not said")
		}
		if !teller.Back() {
			t.Error("it is not said that it is back")
		}
	}
}

func TestWhatComesAndGoesForAMonthWritesALineAnHour(t *testing.T) {
	teller, clock := made()
	lines, month := 0, 30*24*time.Hour
	for began := clock.at; clock.at.Sub(began) < month; clock.pass(4 * time.Second) {
		if teller.Back() {
			lines++
		}
		clock.pass(time.Second)
		if teller.Lost("hang-up") {
			lines++
		}
	}
	if most := 1 + 2*int(month/pause); lines > most || lines < most/2 { // one is that it came
		t.Errorf("%d lines, want up to %d: a pair an hour", lines, most)
	}
}

func TestWhatStaysAwayForAMonthIsSaidAgainEachHour(t *testing.T) {
	teller, clock := made()
	lines := 0
	for range 30 * 24 * 60 {
		for _, why := range []string{"no answer", "busy"} { // in turns, as a driver that hangs has it
			if teller.Lost(why) {
				lines++
			}
		}
		clock.pass(time.Minute)
	}
	if want := 2 * 30 * 24; lines != want {
		t.Errorf("%d lines, want %d", lines, want)
	}
}

func TestReasonsThatAreAlwaysOthersAreBounded(t *testing.T) {
	teller, clock := made()
	lines := 0
	for i := range 3600 {
		if teller.Lost(strconv.Itoa(i)) {
			lines++
		}
		clock.pass(time.Second)
	}
	if lines > 2*reasonsMost {
		t.Errorf("%d lines in an hour", lines)
	}
}
