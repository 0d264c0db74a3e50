// SPDX-License-Identifier: Apache-2.0

package usbreset

import "time"

const (
	silentFor  = 30 * time.Second // no camera takes so long to begin, and no driver to recover by itself
	triesLeast = 3                // in vain: a slow camera needs longer than silentFor for them
	helpedFor  = time.Minute      // a reset after which pictures came for so long has helped
)

// pauses are those after the first, the second and each further reset that did not help: each also costs what else is in the housing.
var pauses = [...]time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute}

// Watch decides when a camera is reset that is there and gives nothing. One goroutine uses it.
type Watch struct {
	now    func() time.Time
	silent time.Time // since the first try in vain; zero while it gives pictures, is away or is in other hands
	tries  int       // in vain since then
	vain   int       // resets that did not help
	next   time.Time // no reset before
}

// New makes the one of a camera that was not tried yet.
func New(now func() time.Time) *Watch { return &Watch{now: now} }

// Gave notes for how long the camera gave pictures.
func (w *Watch) Gave(long time.Duration) {
	w.Other()
	if long >= helpedFor {
		w.vain, w.next = 0, time.Time{}
	}
}

// Other notes that the camera is away, in other hands or not wanted: no reset would help, and its silence begins anew.
func (w *Watch) Other() { w.silent, w.tries = time.Time{}, 0 }

// Silent notes a try in vain although the camera is there. It tells whether to reset it now, and counts on that being done.
func (w *Watch) Silent() bool {
	now := w.now()
	if w.silent.IsZero() {
		w.silent = now
	}
	w.tries++
	if now.Sub(w.silent) < silentFor || w.tries < triesLeast || now.Before(w.next) {
		return false
	}
	w.next = now.Add(pauses[min(w.vain, len(pauses)-1)])
	w.vain++
	w.Other()
	return true
}
