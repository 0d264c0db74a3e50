// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"os"
	"path/filepath"
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

func TestTheHottestSensorCountsAndBrokenOnesDoNot(t *testing.T) {
	dir := t.TempDir()
	if hottestC(filepath.Join(dir, "*")) != nil {
		t.Fatal("a temperature without any sensor")
	}
	for name, text := range map[string]string{"a": "48250\n", "b": "61500\n", "c": "", "d": "no number", "e": "-40000\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := hottestC(filepath.Join(dir, "*")); got == nil || *got != 61.5 {
		t.Fatal("the hottest sensor of 61.5 is not what counts")
	}
}
