// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

// awaits says whose frames are awaited, in the order of their names.
func (h *house) awaits(want string) {
	h.t.Helper()
	if got := strings.Join(slices.Sorted(maps.Keys(h.Awaited())), " "); got != want {
		h.t.Errorf("awaited are %q, want %q", got, want)
	}
}

func TestWhileTheOnlyWorkerHasAFrameAllThatWaitAreAwaited(t *testing.T) {
	h := newHouse(t, Options{})
	door, hall := h.stream("door"), h.stream("hall")
	h.stream("yard") // gives nothing
	publish(door)
	publish(hall)
	h.awaits("") // nobody will look at them
	p := h.worker(1)
	m, _ := p.frame()
	h.awaits("door hall")
	if most := h.Awaited()["hall"]; most != patientMs*time.Millisecond {
		t.Errorf("awaited for %v", most)
	}
	p.answer(ring.Result{LeaseID: m.LeaseID})
	p.frame()
	h.awaits("hall")
	publish(door)
	publish(door)
	h.awaits("door hall")
	h.timerComes(standstillNs) // of the first lease, when the second has ended too
	h.awaits("")               // it is cut off, and door's frame has nobody to go to
}

// What a worker holds that takes no more is awaited, and nothing else.
func TestWhatAWorkerLeavesIsNotAwaited(t *testing.T) {
	h := newHouse(t, Options{})
	door, hall, p := h.stream("door"), h.stream("hall"), h.worker(1)
	publish(door)
	p.frame()
	publish(hall)
	h.awaits("door hall")
	p.credit(0)
	p.heard(h, 1)
	h.awaits("door")
}

func TestNobodyWaitsForAVisitorThatHasAnothersFrame(t *testing.T) {
	h := newHouse(t, Options{Visitors: 1})
	door, hall, p := h.stream("door"), h.stream("hall"), h.welcomed(visiting())
	publish(door)
	p.frame()
	publish(hall)
	h.awaits("door")
}

func TestWorkersOfWhichOneStallsKeepOnlyItsFrameAwaited(t *testing.T) {
	h := newHouse(t, Options{MaxWorkers: 2})
	door, hall, stalled := h.stream("door"), h.stream("hall"), h.worker(1)
	publish(door)
	stalled.frame()
	other := h.worker(1)
	publish(hall)
	m, _ := other.frame()
	h.awaits("door hall")
	other.answer(ring.Result{LeaseID: m.LeaseID})
	waiting.Until(t, "hall's frame is inferred", func() bool { return h.counters("hall").Inferred == 1 })
	h.awaits("door")
}
