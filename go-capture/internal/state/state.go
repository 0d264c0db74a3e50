// SPDX-License-Identifier: Apache-2.0

// Package state finds where the device keeps what must outlive it.
package state

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const system = "/var/lib/visavis"

// OfDevice is the folder of the service that keeps this machine's own configuration, whoever asks; $VISAVIS_STATE_DIR first.
func OfDevice() string { return cmp.Or(named(), system) }

// named is the folder that the environment names; "" if it names none.
func named() string { return cmp.Or(os.Getenv("VISAVIS_STATE_DIR"), os.Getenv("STATE_DIRECTORY")) }

// Folder is $VISAVIS_STATE_DIR, systemd's, the system's if it may be written, else the user's.
func Folder() (string, error) {
	if folder := named(); folder != "" {
		return folder, nil
	}
	if unix.Access(system, unix.W_OK) == nil {
		return system, nil
	}
	if home := os.Getenv("XDG_STATE_HOME"); home != "" {
		return filepath.Join(home, "visavis"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no folder for what must be kept: set VISAVIS_STATE_DIR: %w", err)
	}
	return filepath.Join(home, ".local", "state", "visavis"), nil
}
