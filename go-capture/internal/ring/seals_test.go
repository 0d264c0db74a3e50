// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const attackVariable = "VISAVIS_TEST_ATTACK_RING"

func testRing(t *testing.T) *Ring {
	t.Helper()
	r, err := Create(Spec{RingID: 3, StreamID: 4, InstanceID: 5, StreamName: "door", Width: 64, Height: 48, Slots: 3, PayloadBytes: 3 * 64 * 48})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func TestARingSaysWhatRingAddSays(t *testing.T) {
	r := testRing(t)
	r.Payload(2)[0] = 7
	var header Header
	if err := header.Decode(r.memory); err != nil {
		t.Fatal(err)
	}
	add := r.Add()
	if header.FileSize != add.FileSize || header.SlotStride != add.SlotStride || header.DataOffset != add.DataOffset ||
		header.RingID != add.RingID || header.StreamID != add.StreamID || header.SlotCount != add.SlotCount || header.StreamName != add.StreamName {
		t.Errorf("header %+v differs from RING_ADD %+v", header, add)
	}
	if header.InstanceID != 5 || len(r.Payload(0)) != 3*64*48 || r.memory[header.DataOffset+2*header.SlotStride] != 7 {
		t.Errorf("header %+v, payload of %d bytes", header, len(r.Payload(0)))
	}
	slot := SlotHeader{Generation: 8, FrameSeq: 4}
	r.PutSlotHeader(2, &slot)
	var back SlotHeader
	back.Get(r.memory[header.SlotHeaderOffset+2*uint64(header.SlotHeaderStride):])
	if back != slot {
		t.Errorf("slot header is %+v", back)
	}
}

func TestAnImpossibleRingIsRefusedWithAReason(t *testing.T) {
	for want, spec := range map[string]Spec{
		"241 slots": {StreamName: "a", Width: 1, Height: 1, PayloadBytes: 3, Slots: MaxSlots + 1},
		"0 slots":   {StreamName: "a", Width: 1, Height: 1, PayloadBytes: 3},
		"empty":     {StreamName: "a", Slots: 1},
	} {
		if _, err := Create(spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

func TestASignalDoesNotKeepMemoryFromARing(t *testing.T) {
	r, err := Create(Spec{StreamName: "door", Width: 64, Height: 48, Slots: 3, PayloadBytes: 3 * 64 * 48, Reserved: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // not what is tested
	calls := 0
	r.fallocate = func(fd int, mode uint32, from, bytes int64) error {
		if calls++; calls == 1 {
			return unix.EINTR
		}
		return unix.Fallocate(fd, mode, from, bytes)
	}
	if err := r.Reserve(3); err != nil || calls != 2 || r.reserved != int64(r.header.FileSize) {
		t.Errorf("%v after %d calls, %d of %d bytes are reserved", err, calls, r.reserved, r.header.FileSize)
	}
	r.fallocate = func(int, uint32, int64, int64) error { return unix.ENOSPC }
	if r.reserved = DataOffset; !errors.Is(r.Reserve(3), unix.ENOSPC) {
		t.Error("another error is not told")
	}
}

func TestAnotherProcessCannotChangeASealedRing(t *testing.T) {
	if os.Getenv(attackVariable) != "" {
		t.Skip("this is the attacker")
	}
	r := testRing(t)
	r.Payload(0)[0] = 42
	copied, err := unix.FcntlInt(uintptr(r.Fd()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	given := os.NewFile(uintptr(copied), "ring")
	defer given.Close() //nolint:errcheck // a copy for the attacker only
	command := exec.Command(os.Args[0], "-test.run=^TestAttack$", "-test.v")
	command.Env = append(os.Environ(), attackVariable+"=1")
	command.ExtraFiles = []*os.File{given}
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("attacker: %v\n%s", err, output)
	}
	want := []string{
		"mmap RW: EPERM", "mprotect: EACCES", "pwrite: EPERM", "shrink: EPERM", "grow: EPERM", "reopen: EPERM",
		"punch hole: EPERM", "madvise remove: EACCES", "add seal: EPERM", "read: 42",
	}
	var have []string
	for line := range strings.SplitSeq(string(output), "\n") {
		if rest, found := strings.CutPrefix(line, "attack "); found {
			have = append(have, rest)
		}
	}
	if !slices.Equal(have, want) {
		t.Errorf("attacks gave\n%q, want\n%q", have, want)
	}
	if r.Payload(0)[0] = 43; r.memory[r.header.DataOffset] != 43 {
		t.Error("the daemon can no longer write")
	}
}

// TestAttack runs in the other process, which got the ring as descriptor 3.
func TestAttack(t *testing.T) {
	if os.Getenv(attackVariable) == "" {
		t.Skip("runs only as the attacker of another test")
	}
	const fd, size = 3, 4096
	say := func(name string, err error) {
		fmt.Printf("attack %s: %s\n", name, unix.ErrnoName(errno(err)))
	}
	_, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	say("mmap RW", err)
	view, err := unix.Mmap(fd, DataOffset, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	say("mprotect", unix.Mprotect(view, unix.PROT_READ|unix.PROT_WRITE))
	_, err = unix.Pwrite(fd, []byte{1}, DataOffset)
	say("pwrite", err)
	say("shrink", unix.Ftruncate(fd, size))
	say("grow", unix.Ftruncate(fd, 1<<30))
	say("reopen", mapReopened(size))
	say("punch hole", unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, DataOffset, size))
	say("madvise remove", unix.Madvise(view, unix.MADV_REMOVE))
	_, err = unix.FcntlInt(fd, unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
	say("add seal", err)
	fmt.Printf("attack read: %d\n", view[0])
}

func mapReopened(size int) error {
	again, err := unix.Open("/proc/self/fd/3", unix.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer unix.Close(again) //nolint:errcheck // the process ends soon
	_, err = unix.Mmap(again, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	return err
}

func errno(err error) unix.Errno {
	if code, ok := err.(unix.Errno); ok {
		return code
	}
	return 0
}
