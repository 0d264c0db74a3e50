// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"visavis/capture/internal/state"
)

// Left is what a process left in a folder. Nobody else can use the folder until Release, wherever it is moved meanwhile.
type Left struct {
	Owner   uint64 // 0: not known
	Waiting uint64 // events

	found *Outbox
}

// Look reads what is in a folder, and changes nothing. What another program uses, or another release wrote, is an error.
func Look(path string) (*Left, error) {
	o := newOutbox(Settings{Folder: path}, &folder{path: path})
	err := o.files.prepare()
	if err == nil {
		err = o.read()
	}
	if err != nil {
		return nil, errors.Join(err, o.files.close())
	}
	return &Left{Owner: o.position.owner, Waiting: o.Stats().Waiting, found: o}, nil
}

// Release lets others use the folder.
func (l *Left) Release() { l.found.letGo() }

// Remove takes away the folder, if no event waits in it and it holds nothing but ours. The position goes last: without it, everything that
// is still there would be sent again.
func (l *Left) Remove() error {
	if l.Waiting > 0 {
		return nil
	}
	err := l.found.removeSettled()
	if err == nil {
		err = l.found.files.sync()
	}
	for _, name := range []string{positionName + ".new", positionName} {
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			err = l.found.files.remove(name)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Remove(l.found.settings.Folder); !errors.Is(err, syscall.ENOTEMPTY) {
		return err
	}
	return nil
}

// TakeBack lets what was kept beside another release's folder take its place, once that has gone.
func TakeBack(path string) error { return state.TakeBack(path, version) }

// Folders are where the outbox of a path may keep its events: there, and beside what another release wrote there.
func Folders(path string) []string { return []string{path, state.Beside(path, version)} }
