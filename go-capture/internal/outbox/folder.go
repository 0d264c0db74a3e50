// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"visavis/capture/internal/state"
)

// file is what the outbox needs of an open file.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Sync() error
}

// files is what the outbox needs of a folder; tests put a failing one in its place.
type files interface {
	prepare() error                              // makes and locks it; may be called again
	beside()                                     // from now on it is the one beside it, of this version
	names() ([]string, error)                    // fs.ErrNotExist: there is no folder
	create(name string, over bool) (file, error) // empty; what is there already is replaced if `over`, else fs.ErrExist
	open(name string) (file, int64, error)       // for reading; and its size
	update(name string) (file, error)            // for writing in place
	replace(name string, content []byte) error   // all of it or nothing, for ever once it returns
	remove(name string) error
	sync() error // makes names last
	close() error
}

// folder is a folder of the operating system.
type folder struct {
	path   string
	opened *os.File // nil until prepared
	left   *os.File // another release's, locked all the same: that release must not run now
}

func (f *folder) prepare() (err error) {
	if f.opened != nil {
		return nil
	}
	if err = state.TakeBack(f.path, version); err == nil {
		f.opened, err = state.Lock(f.path)
	}
	return err
}

func (f *folder) beside() {
	f.left, f.opened, f.path = f.opened, nil, state.Beside(f.path, version)
}

func (f *folder) names() ([]string, error) {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names, nil
}

func (f *folder) at(name string) string { return filepath.Join(f.path, name) }

func (f *folder) create(name string, over bool) (file, error) {
	how := os.O_RDWR | os.O_CREATE | os.O_EXCL
	if over {
		how = os.O_RDWR | os.O_CREATE | os.O_TRUNC
	}
	made, err := os.OpenFile(f.at(name), how, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		_ = closed(&f.opened) // somebody removed the folder: prepare makes it again
	}
	return opened(made, err)
}

func (f *folder) update(name string) (file, error) {
	return opened(os.OpenFile(f.at(name), os.O_RDWR, 0))
}

// opened keeps a nil *os.File from becoming a file that is not nil.
func opened(f *os.File, err error) (file, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (f *folder) open(name string) (file, int64, error) {
	found, err := os.Open(f.at(name))
	if err != nil {
		return nil, 0, err
	}
	about, err := found.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, found.Close())
	}
	return found, about.Size(), nil
}

func (f *folder) replace(name string, content []byte) error {
	fresh, err := f.create(name+".new", true)
	if err != nil {
		return err
	}
	_, err = fresh.WriteAt(content, 0)
	if err := errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.at(name+".new"), f.at(name)); err != nil {
		return err
	}
	return f.sync()
}

func (f *folder) remove(name string) error { return os.Remove(f.at(name)) }

func (f *folder) sync() error {
	if err := f.prepare(); err != nil {
		return err
	}
	return f.opened.Sync()
}

func (f *folder) close() error { return errors.Join(closed(&f.opened), closed(&f.left)) }

func closed(held **os.File) error {
	if *held == nil {
		return nil
	}
	err := (*held).Close()
	*held = nil
	return err
}
