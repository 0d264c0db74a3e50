// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// Stamp tells one state of a file from the next. A file that is replaced has another inode even within one tick of the clock, and where
// its time is kept. The time is that of its last change of any kind: who may read it counts as much as what it holds, and of that it is
// told within a tick, too.
type Stamp struct {
	inode   uint64
	bytes   int64
	mode    fs.FileMode
	changed time.Time
	failed  string
}

// StampOf looks at a file, which need not be there; it opens nothing.
func StampOf(path string) Stamp {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Stamp{}
	}
	if err != nil {
		return Stamp{failed: err.Error()}
	}
	made := Stamp{bytes: info.Size(), mode: info.Mode(), changed: info.ModTime()}
	if detail, known := info.Sys().(*syscall.Stat_t); known {
		made.inode, made.changed = detail.Ino, time.Unix(detail.Ctim.Unix())
	}
	return made
}
