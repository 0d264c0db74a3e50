// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Read returns what a file holds, cut after so many bytes; nothing when there is none.
func Read(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(file, most))
	return raw, errors.Join(err, file.Close())
}

// Replace writes a file as a whole, for its owner alone, and makes its folder: whoever reads it finds the old content or the new one.
func Replace(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	fresh, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = fresh.Write(content)
	if err := errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
