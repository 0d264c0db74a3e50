// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"syscall"
	"time"

	"visavis/capture/internal/state"
	"visavis/capture/internal/updown"
)

// Kinds of faults, as Stats counts them.
const (
	Full       = "full" // no space, no inode, a quota or a file size limit
	ReadOnly   = "read_only"
	Permission = "permission"
	InUse      = "in_use"
	IO         = "io"
)

const (
	faultBegins = "outbox cannot use its disk, events stay in memory"
	leftBehind  = "events wait that only another release can send"
)

func kindOf(err error) string {
	switch {
	case errors.Is(err, state.ErrInUse):
		return InUse
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return Full
	case errors.Is(err, syscall.EROFS):
		return ReadOnly
	case errors.Is(err, fs.ErrPermission):
		return Permission
	}
	return IO
}

var remedies = map[string]string{
	Full:       "make space or inodes (df -h, df -i)",
	ReadOnly:   "find out why the disk went read-only (dmesg), then mount it for writing",
	Permission: "give the folder to the user that runs the daemon",
	InUse:      "end the other program",
	IO:         "the disk may be failing (dmesg)",
}

// faults keeps what goes wrong with the disk: counted each time, said when it begins and when it is over.
type faults struct {
	counts map[string]uint64
	log    *updown.Teller
	now    string // kind of the fault that lasts; "" when all is well
	since  time.Time
}

// note takes the outcome of a round and returns what to say about it, which is done when no lock is held: whoever reads our log may
// hang, and Append must not.
func (f *faults) note(folder string, err error) (say func()) {
	if err == nil {
		return f.over(folder)
	}
	kind := kindOf(err)
	f.counts[kind]++
	if f.now == "" {
		f.since = time.Now()
	}
	f.now = kind
	if !f.log.Lost(kind) {
		return silent
	}
	return func() {
		slog.Warn(faultBegins, "folder", folder, "fault", kind, "error", err, "remedy", remedies[kind])
	}
}

func (f *faults) over(folder string) (say func()) {
	if f.now == "" {
		return silent
	}
	f.now = ""
	if !f.log.Back() {
		return silent
	}
	after := time.Since(f.since).Round(time.Millisecond)
	return func() { slog.Info("outbox writes again", "folder", folder, "after", after) }
}

func silent() {}

// Fault says why the disk cannot be used now, or what waits on it for another release, and what to do about it; "" when all is well.
func (o *Outbox) Fault() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.faults.now == "" {
		return o.left
	}
	return fmt.Sprintf("%s: %v: %s", faultBegins, o.roundErr, remedies[o.faults.now])
}
