// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestAStampTellsEachChangeOfAFileAndNothingElse(t *testing.T) {
	folder := t.TempDir()
	file, next := filepath.Join(folder, "file"), filepath.Join(folder, "next")
	at := time.Now()
	write := func(path string) error {
		return errors.Join(os.WriteFile(path, []byte("text"), 0o600), os.Chtimes(path, at, at))
	}
	before := StampOf(file)
	for _, change := range []struct {
		what string
		do   func() error
	}{
		{"it is made", func() error { return write(file) }},
		{"another of its size and time replaces it", func() error { return errors.Join(write(next), os.Rename(next, file)) }},
		{"it is longer", func() error { return os.WriteFile(file, []byte("longer"), 0o600) }},
		{"others may read it", func() error { return os.Chmod(file, 0o644) }},
		{"it is removed", func() error { return os.Remove(file) }},
		{"its folder is a file", func() error { return errors.Join(os.Remove(folder), os.WriteFile(folder, nil, 0o600)) }},
	} {
		if err := change.do(); err != nil {
			t.Fatal(err)
		}
		now := StampOf(file)
		if now == before {
			t.Errorf("%s, and the stamp is the same", change.what)
		}
		if StampOf(file) != now {
			t.Errorf("%s, and each look gives another stamp", change.what)
		}
		before = now
	}
}
