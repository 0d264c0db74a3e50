// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"errors"
	"io/fs"
	"os"

	"visavis/capture/internal/state"
)

// Empty removes the events from a folder that nobody is to send any more, counts them as dropped there, and returns how many waited.
// What another program uses, or another release wrote, stays and is an error.
func Empty(path string) (events uint64, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	o := newOutbox(Settings{Folder: path}, &folder{path: path})
	defer o.letGo()
	if err := o.files.prepare(); err != nil {
		return 0, err
	}
	if err := o.read(); err != nil {
		return 0, err
	}
	before := o.Stats()
	err = o.dropAll()
	return before.Waiting - o.Stats().Waiting, err
}

func (o *Outbox) dropAll() error {
	for {
		if err := o.removeSettled(); err != nil {
			return err
		}
		if dropped, err := o.dropOldest(); err != nil || !dropped {
			return err
		}
	}
}

// Folders are where the outbox of a path may keep its events: there, and beside what another release wrote there.
func Folders(path string) []string { return []string{path, state.Beside(path, version)} }
