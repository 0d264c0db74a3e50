// SPDX-License-Identifier: Apache-2.0

package untrusted

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestAFileIsReadUpToItsLimitAndNothingElseIs(t *testing.T) {
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	if err := os.WriteFile(at("file"), []byte("four"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink(at("file"), at("link")), syscall.Mkfifo(at("pipe"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if content, err := Read(at("file"), 4); err != nil || string(content) != "four" {
		t.Errorf("%q, %v", content, err)
	}
	if _, err := Read(at("file"), 3); err == nil || err.Error() != "it is longer than 3 bytes" {
		t.Errorf("a longer one: %v", err)
	}
	for _, name := range []string{"link", "pipe", "."} {
		if content, err := Read(at(name), 100); err == nil {
			t.Errorf("%s was read: %q", name, content)
		}
	}
	if _, err := Read(at("none"), 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}
