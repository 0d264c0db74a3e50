// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	statusFile   = "/proc/self/status"
	thermalZones = "/sys/class/thermal/thermal_zone*/temp"
)

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

// hottestC reads the hottest sensor in °C; nil where no sensor can be read, as in most virtual machines.
func hottestC(pattern string) *float64 {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil // only a malformed pattern, and ours is a constant
	}
	var hottest *float64
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // a sensor that is switched off answers with an error
		}
		thousandths, err := strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
		if celsius := thousandths / 1000; err == nil && (hottest == nil || celsius > *hottest) {
			hottest = &celsius
		}
	}
	return hottest
}
