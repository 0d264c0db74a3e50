// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openSerial opens a serial line that passes on bytes as they are: no echo, no other line ends.
func openSerial(path string) (*os.File, error) {
	line, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	set, err := unix.IoctlGetTermios(int(line.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("%s is no serial line: %w", path, err)
	}
	set.Iflag, set.Oflag, set.Lflag = 0, 0, 0
	return line, unix.IoctlSetTermios(int(line.Fd()), unix.TCSETS, set)
}
