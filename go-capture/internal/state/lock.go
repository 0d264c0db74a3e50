// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// ErrInUse says that another program has the folder.
var ErrInUse = errors.New("another program uses it")

// Lock makes a folder and holds it for this program alone until the file is closed.
func Lock(folder string) (*os.File, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	opened, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(opened.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = ErrInUse
	}
	if err != nil {
		_ = opened.Close() // nothing was done with it
		return nil, fmt.Errorf("lock %s: %w", folder, err)
	}
	return opened, nil
}

// Held tells whether a program holds a folder; what is not there nobody holds.
func Held(folder string) bool {
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return false
	}
	held, err := Lock(folder)
	if err != nil {
		return true
	}
	_ = held.Close() // nothing was done with it
	return false
}
