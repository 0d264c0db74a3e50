// SPDX-License-Identifier: Apache-2.0

package libjpeg_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/libjpeg"
)

// scans is a grey progressive JPEG of so many scans in which there is nothing: ten bytes each, and a decoder goes over the whole
// picture for each.
func scans(width, height, n int) []byte {
	body := append([]byte("\xff\xd8\xff\xdb\x00\x43\x00"), make([]byte, 64)...)
	for i := range 64 {
		body[7+i] = 1
	}
	body = append(body, "\xff\xc2\x00\x0b\x08\x00\x00\x00\x00\x01\x01\x11\x00"...)
	binary.BigEndian.PutUint16(body[len(body)-8:], uint16(height))
	binary.BigEndian.PutUint16(body[len(body)-6:], uint16(width))
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
	if err := libjpeg.Decode(scans(8, 8, 100), 1, pixels, 8, 8); err != nil {
		t.Errorf("100 scans: %v", err)
	}
	if err := libjpeg.Decode(scans(8, 8, 101), 1, pixels, 8, 8); !errors.Is(err, libjpeg.ErrScans) {
		t.Errorf("101 scans: %v", err)
	}
}

// Of this one a decoder would keep a hundred megabytes of coefficients before it gives the first line.
func TestASizeThatWasNotAnnouncedCostsNothing(t *testing.T) {
	var before, after unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_SELF, &before))
	if err := libjpeg.Decode(scans(16000, 16000, 1), 1, make([]byte, 8*8*3), 8, 8); !errors.Is(err, libjpeg.ErrSize) {
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
