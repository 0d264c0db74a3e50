// SPDX-License-Identifier: Apache-2.0

package libjpeg_test

import (
	"bytes"
	"testing"

	"visavis/capture/internal/libjpeg"
)

// Go writes the same tables in the same order, in one segment right before the scan.
func TestTablesThatAreLeftOutComeInFrontOfTheScan(t *testing.T) {
	whole := encoded(t)
	tables, scan := bytes.Index(whole, []byte{0xFF, 0xC4}), bytes.Index(whole, []byte{0xFF, 0xDA})
	in := func(between string) []byte {
		return append(append(bytes.Clone(whole[:tables]), between...), whole[scan:]...)
	}
	const bright = 29 + 179 // bytes of the tables for brightness
	forBrightness, forColours := string(whole[tables+4:tables+4+bright]), string(whole[tables+4+bright:scan])
	without := in("")
	filled := append([]byte("\xff\xd8\xff\xff\xd0\xff\x01"), without[2:]...)
	progressive := bytes.Replace(without, []byte{0xFF, 0xC0}, []byte{0xFF, 0xC2}, 1)
	for name, c := range map[string]struct{ sent, want []byte }{
		"left out":                {without, whole},
		"there":                   {whole, whole},
		"behind fills and others": {filled, append(bytes.Clone(filled[:7]), whole[2:]...)},
		"those for brightness": {in("\xff\xc4\x00\xd2" + forBrightness),
			in("\xff\xc4\x00\xd2" + forBrightness + "\xff\xc4\x00\xd2" + forColours)},
		"cut off":                 {without[:tables-5], without[:tables-5]},
		"nothing":                 {nil, nil},
		"no segments":             {[]byte("\xff\xd8??????"), []byte("\xff\xd8??????")},
		"an end and no scan":      {[]byte("\xff\xd8\xff\xd9\x00\x02\xff\xda\x00\x02"), []byte("\xff\xd8\xff\xd9\x00\x02\xff\xda\x00\x02")},
		"a scan of nothing":       {[]byte("\xff\xd8\xff\xda\x00\x02\xff\xd9"), []byte("\xff\xd8\xff\xda\x00\x02\xff\xd9")},
		"tables of nothing":       {in("\xff\xc4\x00\x03\x00"), in("\xff\xc4\x00\x03\x00" + string(whole[tables:scan]))},
		"progressive, of its own": {progressive, progressive},
	} {
		if got := bytes.Join(libjpeg.Complete(c.sent), nil); !bytes.Equal(got, c.want) {
			t.Errorf("%s: %d bytes of %d, want %d", name, len(got), len(c.sent), len(c.want))
		}
	}
}
