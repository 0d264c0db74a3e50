// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Read returns what a file holds; nothing when there is none. One of more than so many bytes is not what it should be, and an error.
func Read(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(file, most+1))
	if err == nil && int64(len(raw)) > most {
		raw, err = nil, fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return raw, errors.Join(err, file.Close())
}

// Replace writes a file as a whole, for its owner alone, and makes its folder: whoever reads it finds the old content or the new one,
// also after a power cut. The file belongs to whom the folder belongs: root may write for a daemon that is not root.
func Replace(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer folder.Close() // only read: nothing can be lost
	fresh, err := create(path + ".new")
	if err != nil {
		return err
	}
	defer os.Remove(fresh.Name()) // gone already when all went well
	_, err = fresh.Write(content)
	if err := errors.Join(err, giveTo(fresh, folder), fresh.Sync(), fresh.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(fresh.Name(), path), folder.Sync())
}

// Remove takes a file away, also over a power cut. One that is not there is no error.
func Remove(path string) error {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// create makes a file in place of what a kill has left there, and follows no link that somebody else has put there.
func create(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// giveTo makes the owner of the folder the owner of the file; only root can, and needs to.
func giveTo(file, folder *os.File) error {
	about, err := folder.Stat()
	if err != nil {
		return err
	}
	owner, known := about.Sys().(*syscall.Stat_t)
	if os.Geteuid() != 0 || !known {
		return nil
	}
	return file.Chown(int(owner.Uid), int(owner.Gid))
}
