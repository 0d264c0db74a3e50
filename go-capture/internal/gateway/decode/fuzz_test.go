// SPDX-License-Identifier: Apache-2.0

package decode_test

import (
	"testing"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/gateway/decode"
)

// FuzzUpright: what the check of the header lets through is decoded to the size that it found, or is damaged; OpenCV survives both.
func FuzzUpright(f *testing.F) {
	small := gateway.Limits{Bytes: 1 << 20, DecodeBytes: 4 << 20}
	plain, err := gocv.IMDecode(photo(f, 40, 24, 1), gocv.IMReadColor)
	if err != nil {
		f.Fatal(err)
	}
	defer plain.Close()
	types := []string{"image/jpeg", "image/png", "image/webp"}
	for kind, extension := range []gocv.FileExt{".jpg", ".png", ".webp"} {
		encoded, err := gocv.IMEncode(extension, plain)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(byte(kind), append([]byte{}, encoded.GetBytes()...))
		encoded.Close()
	}
	f.Add(byte(0), photo(f, 40, 24, 6))
	f.Add(byte(0), inFour(40, 24, 0xC0))
	f.Add(byte(0), inFour(40, 24, 0xC2))
	f.Add(byte(1), flatPNG(f, 40, 24, 16, 6, 4, 0, 200))
	f.Add(byte(1), flatPNG(f, 40, 24, 8, 4, 2, 1, 200))
	f.Fuzz(func(t *testing.T, kind byte, body []byte) {
		kept, header, err := gateway.Inspect(body, types[kind%3], small)
		if err != nil {
			return
		}
		pool := frame.NewPool(1)
		defer pool.Close()
		into, _ := pool.Get()
		defer into.Release()
		reduce := header.ReduceFor(16, 16)
		if header.Cost(reduce) > small.DecodeBytes || decode.Upright(kept, header, reduce, into) != nil {
			return
		}
		width, height := header.Reduced(reduce)
		if header.Orientation >= 5 {
			width, height = height, width
		}
		if into.Width != width || into.Height != height {
			t.Fatalf("%dx%d, announced %dx%d", into.Width, into.Height, width, height)
		}
	})
}
