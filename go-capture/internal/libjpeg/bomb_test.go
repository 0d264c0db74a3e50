// SPDX-License-Identifier: Apache-2.0

package libjpeg_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/libjpeg"
)

// scans is a progressive JPEG of so many scans in which there is nothing, all of its first component: ten bytes each, and a decoder
// goes over the whole picture for each.
func scans(width, height, components, n int) []byte {
	body := append([]byte("\xff\xd8\xff\xdb\x00\x43\x00"), make([]byte, 64)...)
	for i := range 64 {
		body[7+i] = 1
	}
	body = append(body, 0xff, 0xc2, 0, byte(8+3*components), 8, byte(height>>8), byte(height), byte(width>>8), byte(width), byte(components))
	for i := range components {
		body = append(body, byte(1+i), 0x11, 0)
	}
	body = append(body, "\xff\xc4\x00\x14\x00\x01"...)
	body = append(body, make([]byte, 16)...)
	body = append(body, "\xff\xc4\x00\x14\x10\x01"...)
	body = append(body, make([]byte, 16)...)
	body = append(body, "\xff\xda\x00\x08\x01\x01\x00\x00\x00\x00"...)
	for range n - 1 {
		body = append(body, "\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00"...)
	}
	return append(body, 0xff, 0xd9)
}

// Nothing is in the scans, so only their number can be wrong.
func TestAPictureOfTooManyScansIsRefused(t *testing.T) {
	pixels := make([]byte, 8*8*3)
	for _, components := range []int{1, 3, 4} {
		if err := libjpeg.Decode(scans(8, 8, components, 100), 1, pixels, 8, 8); err != nil {
			t.Errorf("%d components, 100 scans: %v", components, err)
		}
		if err := libjpeg.Decode(scans(8, 8, components, 101), 1, pixels, 8, 8); !errors.Is(err, libjpeg.ErrScans) {
			t.Errorf("%d components, 101 scans: %v", components, err)
		}
	}
}

// Of this one a decoder would keep a hundred megabytes of coefficients before it gives the first line.
func TestASizeThatWasNotAnnouncedCostsNothing(t *testing.T) {
	var before, after unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &before))
	if err := libjpeg.Decode(scans(16000, 16000, 4, 1), 1, make([]byte, 8*8*3), 8, 8); !errors.Is(err, libjpeg.ErrSize) {
		t.Errorf("another size: %v", err)
	}
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &after))
	if grownKiB := after.Maxrss - before.Maxrss; grownKiB > 64<<10 {
		t.Errorf("the process grew by %d MiB", grownKiB>>10)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
