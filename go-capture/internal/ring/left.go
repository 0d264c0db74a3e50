// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// keptBytes is what rings leave of a limit, for pictures on their way and what else the daemon holds.
const keptBytes = 32 << 20

// A limiter holds the memory of groups of processes below limits. In the second version of control groups one does it for all, the first
// has one of its own for memory. The fields are the names of its files.
type limiter struct {
	folder, most, used string
	reclaimable        string // what comes before the names of the kernel's counts
}

var (
	unified = limiter{"", "memory.max", "memory.current", ""}
	first   = limiter{"memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_"}
)

// leftHere is left for this process.
func leftHere() int64 { return left("/proc", "/sys/fs/cgroup") }

// left is how many bytes this process may still take, by the limits of its unit or container and of those around it. Beyond them no call
// fails: the kernel kills the process. Without any, or where the kernel does not tell, everything is left. What might be swapped out does
// not count: rings are written to all the time.
func left(proc, groups string) int64 {
	least := int64(math.MaxInt64)
	for line := range strings.Lines(textOf(filepath.Join(proc, "self/cgroup"))) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		switch {
		case len(parts) != 3:
		case parts[1] == "":
			least = min(least, unified.left(groups, parts[2]))
		case parts[1] == first.folder:
			least = min(least, first.left(groups, parts[2]))
		}
	}
	return least
}

// left is the least that is left to a group and to those around it. In a container the path may be one of the host's, with no folder here.
func (l limiter) left(groups, path string) int64 {
	least := int64(math.MaxInt64)
	for path = filepath.Join("/", path); ; path = filepath.Dir(path) {
		least = min(least, l.leftIn(filepath.Join(groups, l.folder, path)))
		if path == "/" {
			return least
		}
	}
}

func (l limiter) leftIn(folder string) int64 {
	most, err := strconv.ParseInt(numberIn(folder, l.most), 10, 64) // "max" is none
	if err != nil {
		return math.MaxInt64
	}
	used, err := strconv.ParseInt(numberIn(folder, l.used), 10, 64)
	if err != nil {
		return math.MaxInt64
	}
	return max(most-used, 0) + l.reclaimableIn(folder)
}

// reclaimableIn is what the kernel keeps of files while nobody wants the memory; half of those in use it may want to keep.
func (l limiter) reclaimableIn(folder string) (bytes int64) {
	for line := range strings.Lines(textOf(filepath.Join(folder, "memory.stat"))) {
		name, count, _ := strings.Cut(strings.TrimSpace(line), " ")
		held, err := strconv.ParseInt(count, 10, 64)
		switch {
		case err != nil:
		case name == l.reclaimable+"inactive_file":
			bytes += held
		case name == l.reclaimable+"active_file":
			bytes += held / 2
		}
	}
	return bytes
}

func numberIn(folder, name string) string {
	return strings.TrimSpace(textOf(filepath.Join(folder, name)))
}

// textOf is what the kernel says in a file; nothing where there is none.
func textOf(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return string(text)
}
