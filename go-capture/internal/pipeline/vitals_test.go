// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"runtime"
	"testing"
)

func TestMemoryCountsWhatIsAllocatedAndNothingWhereTheKernelIsSilent(t *testing.T) {
	const more = 64 << 20
	before := anonymousBytes(statusFile)
	block := make([]byte, more)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1 // only touched pages count
	}
	after := anonymousBytes(statusFile)
	runtime.KeepAlive(block)
	if before == 0 || after < before+more/2 {
		t.Fatalf("%d bytes before and %d after allocating %d", before, after, more)
	}
	if got := anonymousBytes("/no/such/file"); got != 0 {
		t.Fatalf("%d bytes without a file", got)
	}
}
