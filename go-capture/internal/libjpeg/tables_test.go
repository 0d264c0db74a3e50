// SPDX-License-Identifier: Apache-2.0

package libjpeg_test

import (
	"bytes"
	"testing"

	"visavis/capture/internal/libjpeg"
)

// Go writes the same tables, right before the scan.
func TestTablesThatAreLeftOutComeInFrontOfTheScan(t *testing.T) {
	whole := encoded(t)
	tables, scan := bytes.Index(whole, []byte{0xFF, 0xC4}), bytes.Index(whole, []byte{0xFF, 0xDA})
	without := append(bytes.Clone(whole[:tables]), whole[scan:]...)
	filled := append([]byte("\xff\xd8\xff\xff\xd0\xff\x01"), without[2:]...)
	for name, c := range map[string]struct{ sent, want []byte }{
		"left out":                {without, whole},
		"there":                   {whole, whole},
		"behind fills and others": {filled, append(bytes.Clone(filled[:7]), whole[2:]...)},
		"cut off":                 {without[:tables-5], without[:tables-5]},
		"nothing":                 {nil, nil},
		"no segments":             {[]byte("\xff\xd8??????"), []byte("\xff\xd8??????")},
		"an end and no scan":      {[]byte("\xff\xd8\xff\xd9\x00\x02\xff\xda\x00\x02"), []byte("\xff\xd8\xff\xd9\x00\x02\xff\xda\x00\x02")},
	} {
		if got := bytes.Join(libjpeg.Complete(c.sent), nil); !bytes.Equal(got, c.want) {
			t.Errorf("%s: %d bytes of %d, want %d", name, len(got), len(c.sent), len(c.want))
		}
	}
}
