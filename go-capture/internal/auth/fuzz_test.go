// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"os"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

// FuzzCredentials: a file that is taken has different accounts, all of them with a role, and written again it is read as the same.
func FuzzCredentials(f *testing.F) {
	file := File{f.TempDir() + "/credentials.toml"}
	for _, one := range []Wanted{{Name: "robot", Role: "viewer", Cameras: []string{"door"}}, {Name: "anna", Role: "admin", Password: "correct horse battery"}} {
		if _, err := file.Add(one); err != nil {
			f.Fatal(err)
		}
	}
	good, err := os.ReadFile(file.Path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(append(good, good...))
	f.Add([]byte("[[account]]\nname = \"x\"\nrole = \"\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		accounts, err := file.parse(text)
		if err != nil {
			return
		}
		names := map[string]bool{}
		for _, one := range accounts {
			if names[one.Name] || one.check() != nil {
				t.Fatalf("%q is let in", one.Name)
			}
			names[one.Name] = true
		}
		written, err := toml.Marshal(document{accounts})
		if err != nil {
			t.Fatal(err)
		}
		again, err := file.parse(written)
		if len(written) <= fileBytesMost && (err != nil || len(again) != len(accounts)) {
			t.Fatalf("%d accounts become %d: %v", len(accounts), len(again), err)
		}
	})
}
