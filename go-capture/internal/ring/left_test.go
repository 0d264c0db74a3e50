// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// kernel writes files below a folder, by their paths, as the kernel has them below / of a machine.
func kernel(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestTheTightestLimitAroundThisProcessSaysWhatIsLeft(t *testing.T) {
	const unit, slice, v1 = "groups/a.slice/b.service/", "groups/a.slice/", "groups/memory/b/"
	for name, c := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no groups": {nil, math.MaxInt64},
		"no limit": {map[string]string{
			"proc/self/cgroup": "0::/a.slice/b.service\n", unit + "memory.max": "max\n", unit + "memory.current": "70\n",
		}, math.MaxInt64},
		"the unit's": {map[string]string{
			"proc/self/cgroup": "0::/a.slice/b.service\n", unit + "memory.max": "100\n", unit + "memory.current": "70\n",
			slice + "memory.max": "1000\n", slice + "memory.current": "80\n",
		}, 30},
		"the slice's, full": {map[string]string{
			"proc/self/cgroup": "0::/a.slice/b.service\n", unit + "memory.max": "100\n", unit + "memory.current": "70\n",
			slice + "memory.max": "80\n", slice + "memory.current": "90\n",
		}, 0},
		"files that the kernel gives up": {map[string]string{
			"proc/self/cgroup": "0::/a.slice/b.service\n", unit + "memory.max": "100\n", unit + "memory.current": "100\n",
			unit + "memory.stat": "anon 50\ninactive_file 10\nactive_file 8\nshmem 40\n",
		}, 14},
		"a container's own": {map[string]string{
			"proc/self/cgroup": "0::/\n", "groups/memory.max": "100\n", "groups/memory.current": "60\n",
		}, 40},
		"a path of the host": {map[string]string{
			"proc/self/cgroup": "0::/docker/f00\n", "groups/memory.max": "100\n", "groups/memory.current": "60\n",
		}, 40},
		"version 1": {map[string]string{
			"proc/self/cgroup": "8:pids:/c\n4:memory:/b\n0::/\n", v1 + "memory.limit_in_bytes": "100\n", v1 + "memory.usage_in_bytes": "90\n",
			v1 + "memory.stat": "inactive_file 1\ntotal_inactive_file 5\ntotal_active_file 2\n",
		}, 16},
	} {
		root := kernel(t, c.files)
		if have := left(filepath.Join(root, "proc"), filepath.Join(root, "groups")); have != c.want {
			t.Errorf("%s: %d bytes are left, not %d", name, have, c.want)
		}
	}
}

// The kernel would kill the daemon, with all cameras, where a refusal costs one camera or worker.
func TestARingIsRefusedWhatTheLimitHasNoRoomFor(t *testing.T) {
	r, err := Create(Spec{StreamName: "door", Width: 64, Height: 48, Slots: 3, PayloadBytes: 3 * 64 * 48, Reserved: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // not what is tested
	needed := int64(r.header.FileSize) - r.reserved
	r.left = func() int64 { return keptBytes + needed - 1 }
	err = r.Reserve(3)
	if !errors.Is(err, unix.ENOMEM) || !strings.Contains(err.Error(), "below the limit on the daemon's memory") {
		t.Errorf("got %v", err)
	}
	r.left = func() int64 { return keptBytes + needed }
	if err := r.Reserve(3); err != nil {
		t.Error(err)
	}
}
