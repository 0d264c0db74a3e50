// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Secrets that are encrypted on disk are seen by the service alone, and not by root's `visavis auth`.
func TestLoginsAreManagedWithoutTheSecretsOfTheService(t *testing.T) {
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	folder := t.TempDir()
	file, credentials := filepath.Join(folder, "config.toml"), filepath.Join(folder, "credentials.toml")
	text := fmt.Sprintf("[mqtt]\nuser = \"porch\"\npassword_file = \"credential:mqtt.password\"\n[auth]\nfile = %q\n", credentials)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ words, says string }{
		{"add -config FILE -role viewer phone", ""}, {"list -config FILE", "phone"}, {"revoke -config FILE phone", ""}, {"list -config FILE", "[]"},
	} {
		var out, told bytes.Buffer
		code := runAuth(strings.Fields(strings.ReplaceAll(step.words, "FILE", file)), strings.NewReader(""), &out, &told)
		if code != 0 || !strings.Contains(out.String(), step.says) {
			t.Errorf("%s ends with %d and says %q, %q", step.words, code, out.String(), told.String())
		}
	}
}

func TestACameraThatThereIsNotIsTold(t *testing.T) {
	folder := t.TempDir()
	file, credentials := filepath.Join(folder, "config.toml"), filepath.Join(folder, "credentials.toml")
	text := fmt.Sprintf("[auth]\nfile = %q\n[[camera]]\nid = \"door\"\nsource = \"demo:\"\n[[camera]]\nid = \"yard\"\nsource = \"demo:\"\n", credentials)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for cameras, says := range map[string]string{
		"-camera door -camera *": "", "-camera door -camera nosuch": "visavis: NOTE: no camera is called nosuch now; there are door, yard\n",
	} {
		var out, told bytes.Buffer
		words := append(strings.Fields("add -config "+file+" -role viewer "+cameras), fmt.Sprintf("phone%d", len(says)))
		if code := runAuth(words, strings.NewReader(""), &out, &told); code != 0 || told.String() != says {
			t.Errorf("%s ends with %d and says %q", cameras, code, told.String())
		}
	}
}
