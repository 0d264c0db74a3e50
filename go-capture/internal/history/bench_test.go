// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"testing"

	"visavis/capture/internal/waiting"
)

// BenchmarkTheWholePast looks for events of a camera that has none, so that everything is gone through.
func BenchmarkTheWholePast(b *testing.B) {
	h := New(Settings{Folder: b.TempDir()})
	h.Start()
	defer func() {
		if err := h.Close(context.Background()); err != nil {
			b.Error(err)
		}
	}()
	for a := newAuthor(); bytesKept(h) < h.settings.MostBytes*7/8; {
		h.Append(a.many(1)[0])
		waiting.Until(b, "half of the memory is free", func() bool { return unwritten(h) <= memoryEvents/2 })
	}
	b.ResetTimer()
	for range b.N {
		if page, err := h.Read(context.Background(), Query{After: "0", Camera: "attic", Type: "gone", Limit: 1}); err != nil || len(page.Entries) > 0 {
			b.Fatal(page, err)
		}
	}
	b.ReportMetric(float64(bytesKept(h))/(1<<20), "MiB")
}

func unwritten(h *History) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.recent) - h.unwritten
}

func bytesKept(h *History) (total int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.segments {
		total += s.bytes
	}
	return total
}
