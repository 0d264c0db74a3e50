// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"math/rand/v2"
	"testing"

	"visavis/capture/internal/event"
)

// BenchmarkSnapshot is what each answer of /api/v1/status costs for a camera that has run for a while.
func BenchmarkSnapshot(b *testing.B) {
	h := New()
	c := newCamera("door", event.NewRecorder("door", h.ids, realClock))
	for range latencyResults {
		ms := rand.Float64()
		c.latencies = append(c.latencies, Latency{Capture: ms, Queue: 2 * ms, Handoff: 3 * ms, Infer: 30 * ms, Publish: ms, Total: 37 * ms})
	}
	h.cameras["door"] = c
	b.ReportAllocs()
	for range b.N {
		h.Snapshot("door")
	}
}
