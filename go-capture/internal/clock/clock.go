// SPDX-License-Identifier: Apache-2.0

// Package clock finds out whether anybody sets the clock of a board that has no battery to keep it: without a time server it goes on
// from where it stood when the power went.
package clock

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"visavis/capture/internal/state"
)

const (
	// Service is a folder that is there while systemd-timesyncd runs; see systemd-timesyncd.service(8).
	Service = "/run/systemd/timesync"
	// Batteries is where Linux shows clocks that go on without power.
	Batteries = "/sys/class/rtc"
	// Step is a change of the time of day that is no waver: a board without a battery learns the time after it has started.
	Step = time.Second
	// setOnce is how far apart the wall clock and one with a battery may be: a zone's hours, of a PC that keeps local time. One whose
	// battery is missing or empty begins anew years ago, with each power cut.
	setOnce = 24 * time.Hour
	// patience is what a network and a time server may take after a power cut in the whole house.
	patience = 10 * time.Minute
)

// Earliest lies before any clock that is right.
var Earliest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var errNotSet = errors.New("no time server has set the clock since the start, and there is none with a battery: events may carry wrong " +
	"times, and certificates may count as not yet valid; name a server in /etc/systemd/timesyncd.conf")

// Watch looks at the clock now and then. It says nothing where something else than systemd-timesyncd sets it.
type Watch struct {
	service, batteries string // folders
	began              time.Time
	fault              *state.Fault
}

// NewWatch begins to wait for a time server; service and batteries are the folders Service and Batteries.
func NewWatch(service, batteries string) *Watch {
	fault := state.NewFault(slog.String("folder", service), "nobody sets the clock", "the clock was set by a time server")
	return &Watch{service: service, batteries: batteries, began: time.Now(), fault: fault}
}

// Look notes whether somebody should see to the clock at this time.
func (w *Watch) Look(now time.Time) {
	if now.Sub(w.began) < patience || w.kept(now) {
		w.fault.Note(nil)
		return
	}
	w.fault.Note(errNotSet)
}

// Fault says what is wrong with the clock; "" when nothing is known to be.
func (w *Watch) Fault() string { return w.fault.Now() }

// kept tells whether something keeps the clock: a battery, a time server, or what is not known here.
func (w *Watch) kept(now time.Time) bool {
	clocks, _ := os.ReadDir(w.batteries) // a kernel without clocks of that kind has no such folder
	agrees := func(clock os.DirEntry) bool {
		text, _ := os.ReadFile(filepath.Join(w.batteries, clock.Name(), "since_epoch")) // one that was never set says nothing
		seconds, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		return err == nil && now.Sub(time.Unix(seconds, 0)).Abs() < setOnce
	}
	return slices.ContainsFunc(clocks, agrees) || !isThere(w.service) || isThere(filepath.Join(w.service, "synchronized"))
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
