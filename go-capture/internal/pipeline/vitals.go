// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"os"
	"strconv"
	"strings"
)

const statusFile = "/proc/self/status"

// anonymousBytes reads the memory that belongs to this process alone, OpenCV's included; 0 where the kernel does not say.
func anonymousBytes(path string) uint64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0 // not Linux as we know it: a figure less, nothing else
	}
	_, rest, _ := strings.Cut(string(text), "RssAnon:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	kilobytes, err := strconv.ParseUint(fields[0], 10, 64)
	if err != nil {
		return 0
	}
	return kilobytes << 10
}
