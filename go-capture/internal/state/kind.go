// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
)

// Kind is what is wrong with a disk, as far as that decides what helps.
type Kind int

// The kinds of faults.
const (
	Other Kind = iota // the error itself must say what helps
	Full              // no space, no inode, a quota or a file size limit
	ReadOnly
	Permission
	InUse
	Failing
)

var remedies = [...]string{
	Full:       "make space or inodes (df -h, df -i)",
	ReadOnly:   "find out why the disk went read-only (dmesg), then mount it for writing",
	Permission: "give it to the user that runs the daemon",
	InUse:      "end the other program",
	Failing:    "the disk may be failing (dmesg)",
}

var kindOfError = []struct {
	of   error
	kind Kind
}{
	{ErrInUse, InUse},
	{syscall.ENOSPC, Full}, {syscall.EDQUOT, Full}, {syscall.EFBIG, Full},
	{syscall.EROFS, ReadOnly},
	{fs.ErrPermission, Permission},
	{syscall.EIO, Failing}, {syscall.ENODEV, Failing},
}

// KindOf tells what an error is about; of several the first in the order of the table.
func KindOf(err error) Kind {
	for _, known := range kindOfError {
		if errors.Is(err, known.of) {
			return known.kind
		}
	}
	return Other
}

// sentence is an error with what helps, in one line.
func sentence(err error) string {
	words := strings.ReplaceAll(err.Error(), "\n", "; ")
	if remedy := remedies[KindOf(err)]; remedy != "" {
		words += ": " + remedy
	}
	return words
}
