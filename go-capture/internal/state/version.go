// SPDX-License-Identifier: Apache-2.0

package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// VersionError says that another release wrote a file: one that came by an update and was rolled back. What it holds means nothing here.
type VersionError struct {
	File           string
	Version, Known int
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s is of version %d, this program knows %d: it stays as it is for the release that wrote it, so update again, "+
		"or move it away and restart visavis", e.File, e.Version, e.Known)
}

// Beside is where a program that knows a version keeps its own while another release's stands at the path. A release that raises a
// version reads the lower one in both places.
func Beside(path string, known int) string { return fmt.Sprintf("%s.v%d", path, known) }

// TakeBack lets what was kept beside take its place once the other release's has gone. Call it before the path is used.
func TakeBack(path string, known int) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(Beside(path, known), path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ReadOwn returns what a JSON file with a "version" holds, nothing when there is none, and where to write it from now on: beside it
// while it is another release's, which the error then tells.
func ReadOwn(path string, most int64, known int) (raw []byte, own string, err error) {
	err = TakeBack(path, known)
	if err != nil {
		return nil, path, err
	}
	raw, err = readVersion(path, most, known)
	var other *VersionError
	if !errors.As(err, &other) {
		return raw, path, err
	}
	own = Beside(path, known)
	raw, damage := readVersion(own, most, known)
	return raw, own, errors.Join(err, damage)
}

func readVersion(path string, most int64, known int) ([]byte, error) {
	raw, err := Read(path, most)
	if err != nil || raw == nil {
		return nil, err
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", path, err)
	}
	if head.Version != known {
		return nil, &VersionError{path, head.Version, known}
	}
	return raw, nil
}
