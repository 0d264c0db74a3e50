// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestAFileOfAnotherVersionIsLeftAloneAndTheOwnOneBesideItIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "porch.json")
	for name, text := range map[string]string{path: `{"version":2}`, Beside(path, 1): `{"version":1,"own":true}`} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	raw, own, err := ReadOwn(path, 1000, 1)
	var other *VersionError
	if string(raw) != `{"version":1,"own":true}` || own != path+".v1" || !errors.As(err, &other) || other.Version != 2 || other.File != path {
		t.Errorf("%s, %s, %v", raw, own, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	raw, own, err = ReadOwn(path, 1000, 1)
	if string(raw) != `{"version":1,"own":true}` || own != path || err != nil {
		t.Errorf("once the other one is gone: %s, %s, %v", raw, own, err)
	}
}

func TestADamagedFileIsWrittenAnewInItsOwnPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "porch.json")
	for _, text := range []string{"", "{", "[]", `{"version":"1"}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if raw, own, err := ReadOwn(path, 1000, 1); raw != nil || own != path || err == nil {
			t.Errorf("%q: %s, %s, %v", text, raw, own, err)
		}
	}
}
