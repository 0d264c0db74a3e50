// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"testing"
	"time"

	"visavis/capture/internal/dispatch"
)

const ms1 = int64(time.Millisecond)

func TestRoomIsWhatTheDeadlineAllowsAtTheMeasuredPace(t *testing.T) {
	p := &pace{configured: 250 * time.Millisecond, most: 64}
	if room := p.room(3); room != 64 {
		t.Fatalf("room for %d before anything is measured, want 64", room)
	}
	p.learn(10 * time.Millisecond)
	if room := p.room(3); room != 12-3 {
		t.Fatalf("room for %d at 10 ms a picture, want 9 beside 3", room)
	}
	// Two workers: a result every 5 ms, although each takes 10.
	for i := range int64(100) {
		p.observe(dispatch.Outcome{Fate: dispatch.Inferred, ResultNs: 5 * i * ms1}, (5*i-10)*ms1)
	}
	if room := p.room(3); room < 20 || room > 22 {
		t.Fatalf("room for %d at a result every 5 ms, want about 22", room)
	}
	p.observe(dispatch.Outcome{Fate: dispatch.Abandoned, ResultNs: 1e12}, 0)
	if wait := p.until(10); wait < 45*time.Millisecond || wait > 55*time.Millisecond {
		t.Fatalf("ten pictures take %v, want 50 ms: those without a result do not count", wait)
	}
}

func TestASlowMachineGetsALongerDeadline(t *testing.T) {
	p := &pace{configured: 250 * time.Millisecond, most: 64}
	p.learn(400 * time.Millisecond)
	if deadline := p.deadline(); deadline != 1200*time.Millisecond {
		t.Fatalf("deadline %v, want three times the service time", deadline)
	}
	if !p.hopeless(399*time.Millisecond) || p.hopeless(401*time.Millisecond) {
		t.Fatal("what is left must be enough for one picture")
	}
}
