// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"fmt"
	"maps"
	"slices"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

// TestNoEventIsLostOrReorderedThroughKillsPowerCutsAndFullDisks drives an outbox and a list side by side through kills, power cuts and full disks at any step.
//
// What must hold: events come in the order of their append, with their content; what was acknowledged before a save is not repeated;
// nothing else is missing but what was never synced before a power cut, or never written before a kill, and what is counted.
func TestNoEventIsLostOrReorderedThroughKillsPowerCutsAndFullDisks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{disk: newMemoryDisk(), acked: map[int]bool{}, lost: map[int]bool{}}
		m.open(t, map[int]bool{})
		t.Repeat(map[string]func(*rapid.T){
			"append":   m.append,
			"take":     m.take,
			"ack":      m.ack,
			"rewind":   func(*rapid.T) { m.rewind() },
			"round":    m.round,
			"kill":     m.kill,
			"powercut": m.powerCut,
			"fault":    m.fault,
			"heal":     func(*rapid.T) { m.disk.healed() },
			"":         m.check,
		})
		m.drain(t)
	})
}

// machine is an outbox and what is known of the events, which are numbered from 1.
type machine struct {
	disk    *memoryDisk
	outbox  *Outbox
	born    int          // events appended so far
	lost    map[int]bool // may be gone: not sure when the process ended
	written int          // everything up to here survives a kill
	synced  int          // and a power cut
	acked   map[int]bool
	done    map[int]bool // known to this process as settled, so that it must not come again
	saved   map[int]bool // of these, saved, so that they must not after a kill either
	out     []Record     // in flight, in order
	cut     bool         // there was a power cut
	seen    int          // newest event handed out since the last rewind
}

var modelSettings = Settings{MostBytes: 1 << 20, Window: 7}

func (m *machine) open(t *rapid.T, saved map[int]bool) {
	m.outbox = newOutbox(modelSettings, m.disk)
	if err := m.outbox.round(false); err != nil {
		t.Fatalf("open: %v", err)
	}
	m.out, m.seen = nil, 0
	m.saved, m.done = saved, maps.Clone(saved)
}

func (m *machine) append(t *rapid.T) {
	for range rapid.IntRange(1, 5).Draw(t, "events") {
		m.born++
		payload := fmt.Appendf(nil, "%d %*s", m.born, rapid.SampledFrom([]int{0, 100, 9_000}).Draw(t, "padding"), "")
		if err := m.outbox.Append("t", payload); err != nil {
			t.Fatal(err)
		}
	}
}

func number(t *rapid.T, r Record) (n int) {
	if _, err := fmt.Sscan(string(r.Payload), &n); err != nil {
		t.Fatalf("payload %q: %v", r.Payload, err)
	}
	return n
}

func (m *machine) take(t *rapid.T) {
	record, found, err := m.outbox.take()
	if err != nil {
		t.Fatal(err)
	}
	if !found {
		return
	}
	n := number(t, record)
	if n <= m.seen || n > m.born || m.done[n] {
		t.Fatalf("event %d came after %d of %d", n, m.seen, m.born)
	}
	for between := m.seen + 1; between < n; between++ {
		if !m.acked[between] && !m.lost[between] {
			t.Fatalf("event %d was left out: %d came after %d; %+v", between, n, m.seen, m.outbox.Stats())
		}
		m.done[between] = true
	}
	m.seen = n
	m.out = append(m.out, record)
}

func (m *machine) ack(t *rapid.T) {
	if len(m.out) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.out)-1).Draw(t, "which")
	m.acked[number(t, m.out[i])], m.done[number(t, m.out[i])] = true, true
	m.outbox.Ack(m.out[i].Seq)
	m.out = slices.Delete(m.out, i, i+1)
}

func (m *machine) rewind() {
	m.outbox.Rewind()
	m.out, m.seen = nil, 0
}

func (m *machine) round(t *rapid.T) {
	flush := rapid.Bool().Draw(t, "flush")
	if m.outbox.round(flush) != nil {
		return
	}
	m.written = m.born
	if flush {
		m.synced = m.born
	}
	for n := 1; m.done[n]; n++ {
		m.saved[n] = true
	}
}

// end begins the next process. Everything behind `sure` may be gone, but what is there still comes in order.
func (m *machine) end(t *rapid.T, left *memoryDisk, sure int, saved map[int]bool) {
	for n := sure + 1; n <= m.born; n++ {
		m.lost[n] = true
	}
	m.disk = left
	m.open(t, saved)
	m.written, m.synced = sure, min(m.synced, sure)
}

func (m *machine) kill(t *rapid.T) {
	if rapid.Bool().Draw(t, "in the middle of a round") {
		m.disk.healed()
		m.disk.steps = rapid.IntRange(1, 12).Draw(t, "steps")
		_ = m.outbox.round(rapid.Bool().Draw(t, "flush"))
	}
	m.end(t, m.disk.kill(), m.written, m.saved)
}

func (m *machine) powerCut(t *rapid.T) {
	chance := func(most int) int { return rapid.IntRange(0, most).Draw(t, "chance") }
	m.cut = true
	m.end(t, m.disk.powerCut(chance), m.synced, map[int]bool{})
}

func (m *machine) fault(t *rapid.T) {
	what := rapid.SampledFrom([]string{"write", "create", "sync", "sync folder", "remove"}).Draw(t, "what")
	if rapid.Bool().Draw(t, "full") {
		m.disk.room = rapid.IntRange(0, 20_000).Draw(t, "room")
		return
	}
	m.disk.failing(what, syscall.EIO)
}

func (m *machine) check(t *rapid.T) {
	s := m.outbox.Stats()
	if s.InFlight != len(m.out) || s.InFlight > modelSettings.Window || s.Dropped != 0 {
		t.Fatalf("%d in flight: %+v", len(m.out), s)
	}
	if s.Bytes > modelSettings.MostBytes+64<<10 {
		t.Fatalf("%+v", s)
	}
}

// drain takes everything that is left.
func (m *machine) drain(t *rapid.T) {
	m.disk.healed()
	m.rewind()
	if err := m.outbox.round(true); err != nil {
		t.Fatal(err)
	}
	for m.outbox.Stats().Waiting > 0 {
		m.outbox.goOnUnsaved()
		m.take(t)
		for _, record := range m.out {
			m.acked[number(t, record)] = true
			m.outbox.Ack(record.Seq)
		}
		m.out = nil
	}
	if s := m.outbox.Stats(); s.Corrupt > 0 && !m.cut {
		t.Fatalf("no power cut, and yet %+v", s)
	}
	for n := 1; n <= m.born; n++ {
		if !m.acked[n] && !m.lost[n] {
			t.Fatalf("event %d never came: %+v", n, m.outbox.Stats())
		}
	}
}
