// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"visavis/capture/internal/config"
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

// A configuration that names no camera, such as one for the logins of many devices, cannot say which there are.
func TestACameraThatThereIsNotIsTold(t *testing.T) {
	const door, yard = "[[camera]]\nid = \"door\"\nsource = \"demo:\"\n", "[[camera]]\nid = \"yard\"\nsource = \"demo:\"\n"
	for _, c := range []struct{ there, asked, says string }{
		{door + yard, "-camera door -camera *", ""},
		{door + yard, "-camera door -camera nosuch", "visavis: NOTE: no camera is called nosuch now; there are door, yard\n"},
		{"", "-camera door", ""},
	} {
		folder := t.TempDir()
		file, credentials := filepath.Join(folder, "config.toml"), filepath.Join(folder, "credentials.toml")
		if err := os.WriteFile(file, fmt.Appendf(nil, "[auth]\nfile = %q\n%s", credentials, c.there), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, told bytes.Buffer
		words := strings.Fields("add -config " + file + " -role viewer " + c.asked + " phone")
		if code := runAuth(words, strings.NewReader(""), &out, &told); code != 0 || told.String() != c.says {
			t.Errorf("%s of %q ends with %d and says %q", c.asked, c.there, code, told.String())
		}
	}
}

func TestTheDevicesOwnLoginsAreTheServicesAlsoForWhoMayNotOpenThem(t *testing.T) {
	for _, variable := range []string{"VISAVIS_STATE_DIR", "STATE_DIRECTORY"} {
		t.Setenv(variable, "")
	}
	named := &config.Config{}
	named.Auth.File = "/srv/shared.toml"
	for _, c := range []struct {
		configuration string
		settings      *config.Config
		want          string
	}{{deviceConfig, &config.Config{}, "/var/lib/visavis/credentials.toml"}, {deviceConfig, named, "/srv/shared.toml"}} {
		if file, err := credentialsOf(c.configuration, c.settings); err != nil || file.Path != c.want {
			t.Errorf("%s, %v; want %s", file.Path, err, c.want)
		}
	}
}
