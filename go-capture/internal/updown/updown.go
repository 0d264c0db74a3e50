// SPDX-License-Identifier: Apache-2.0

// Package updown keeps the log calm about what comes and goes, such as a camera with a loose plug, or a broker that ends each
// connection at once: what goes on so for a month must not write two lines every few seconds.
package updown

import (
	"maps"
	"time"
)

const (
	heldFor     = 10 * time.Minute // what was there for so long was well: its next loss is news
	pause       = time.Hour        // between two lines about the same
	reasonsMost = 8                // that are told apart; more are those of a peer that never says the same twice
)

// Teller knows of one such thing what was told. It is used by one goroutine.
type Teller struct {
	now  func() time.Time
	up   time.Time            // since when it is there; zero while it is not
	told map[string]time.Time // when each reason of a loss was told last
	news bool                 // there was something to tell since it was last there
}

// New makes one for something that was not there yet.
func New(now func() time.Time) *Teller {
	return &Teller{now: now, told: map[string]time.Time{}, news: true}
}

// Back notes that it is there, and tells whether to say so: where its loss was said.
func (t *Teller) Back() (say bool) {
	say, t.news, t.up = t.news, false, t.now()
	return say
}

// Lost notes that it is away or still away, and tells whether to say why.
func (t *Teller) Lost(why string) (say bool) {
	now := t.now()
	held := !t.up.IsZero() && now.Sub(t.up) >= heldFor
	t.up = time.Time{}
	maps.DeleteFunc(t.told, func(_ string, at time.Time) bool { return held || now.Sub(at) >= pause })
	if _, said := t.told[why]; said || len(t.told) >= reasonsMost {
		return false
	}
	t.told[why], t.news = now, true
	return true
}
