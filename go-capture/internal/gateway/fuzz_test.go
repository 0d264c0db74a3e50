// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"testing"

	"visavis/capture/internal/gateway"
)

// FuzzInspect: no body makes the header check fail otherwise than with a refusal, and what it lets through keeps the limits.
func FuzzInspect(f *testing.F) {
	photo := asJPEG(f, speckled(16, 12))
	for _, body := range [][]byte{
		photo, turned(photo, 6), progressive(photo), asPNG(f, speckled(16, 12)), webpOf(f, lossyWebP), webpOf(f, losslessWebP),
		pngOf(9, 9, 1, deflated(100), chunk("eXIf", []byte("II*\x00\xff\xff\xff\xff"))),
	} {
		for kind := range byte(3) {
			f.Add(kind, body)
		}
	}
	types := []string{"image/jpeg", "image/png", "image/webp"}
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		kept, header, err := gateway.Inspect(body, types[kind%3], limits)
		if err != nil {
			if status := statusOf(err); status != 413 && status != 422 {
				t.Fatalf("status %d: %v", status, err)
			}
			return
		}
		width, height := header.Upright()
		if len(kept) > len(body) || width < 1 || height < 1 || width*height > 40_000_000 {
			t.Fatalf("%d of %d bytes, %dx%d", len(kept), len(body), width, height)
		}
		reduce := header.ReduceFor(640, 480)
		if w, h := header.Reduced(reduce); w < 1 || h < 1 || header.Cost(8) > 2*limits.DecodeBytes {
			t.Fatalf("%dx%d at 1/%d for %d bytes", w, h, reduce, header.Cost(8))
		}
	})
}
