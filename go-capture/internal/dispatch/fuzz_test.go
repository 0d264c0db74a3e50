// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"encoding/binary"
	"math"
	"testing"

	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

const leaseAt = 8 // of the lease's id in RESULT

// FuzzWorker: whatever a worker sends while it holds a frame, each frame ends once, and what is told of faces lies in the picture.
func FuzzWorker(f *testing.F) {
	f.Add(resultPacket(ring.Result{}, []ring.Detection{{X2: 900, Y1: -5, Score: 1}}), true)
	f.Add(resultPacket(ring.Result{Status: ring.StatusBadInput, Batch: math.MaxUint32}, nil), true)
	f.Add(resultPacket(ring.Result{LeaseID: 1 << 60, ReceivedNs: math.MinInt64}, nil), false)
	f.Add(resultPacket(ring.Result{}, []ring.Detection{{Score: nan()}}), true)
	credit := make([]byte, ring.CreditBytes)
	(&ring.Credit{}).Put(credit)
	f.Add(credit, false)
	f.Add(serverStatePacket(1, math.MaxUint64), false)
	f.Fuzz(func(t *testing.T, packet []byte, own bool) {
		h := newHouse(t, Options{MaxDetections: 10})
		s := h.stream("door")
		p := h.worker(1)
		publish(s)
		m, ok := p.frame()
		if !ok {
			t.Fatal("there is no lease")
		}
		if own && len(packet) >= leaseAt+8 {
			packet = append([]byte{}, packet...) // the engine's own bytes must stay as they are
			binary.LittleEndian.PutUint64(packet[leaseAt:], m.LeaseID)
		}
		p.send(packet)
		p.close()
		waiting.Until(t, "the worker has gone", func() bool { return len(h.Snapshot().Workers) == 0 })
		h.check(t)
	})
}

// check compares the accounts of the stream "door" with its outcomes, and looks at their detections.
func (h *house) check(t *testing.T) {
	t.Helper()
	c, fates := h.counters("door"), h.fates()
	if c.Captured != 1 || c.InFlight != 0 || c.Inferred+c.Abandoned+c.Aborted != 1 || fates[Inferred] != c.Inferred {
		t.Fatalf("%+v, outcomes %v", c, fates)
	}
	for _, o := range h.outcomes {
		for _, d := range o.Detections {
			if !allFinite(&d) || min(d.X1, d.Y1) < 0 || max(d.X1, d.X2) > 32 || max(d.Y1, d.Y2) > 16 {
				t.Fatalf("a face at %+v", d)
			}
		}
	}
}
