// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMemoryCountsWhatIsAllocatedAndNothingWhereTheKernelIsSilent(t *testing.T) {
	const more = 64 << 20
	debug.FreeOSMemory() // what earlier tests left would go back to the kernel meanwhile
	before := anonymousBytes(statusFile)
	block, err := unix.Mmap(-1, 0, more, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		t.Fatal(err)
	}
	after := anonymousBytes(statusFile)
	if err := unix.Munmap(block); err != nil {
		t.Fatal(err)
	}
	if before == 0 || after < before+more/2 {
		t.Fatalf("%d bytes before and %d after allocating %d", before, after, more)
	}
	if got := anonymousBytes("/no/such/file"); got != 0 {
		t.Fatalf("%d bytes without a file", got)
	}
}
