// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"visavis/capture/internal/secretfile"
)

func TestAPasswordIsReadAsAnEditorWritesIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	settings := Settings{Section: "mqtt_second", PasswordFile: path}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("\ufeffsecret\r\n")
	if password, err := settings.password(); password != "secret" || err != nil {
		t.Errorf("%q, %v", password, err)
	}
	write("s\x00e\x00")
	_, err := settings.password()
	if !errors.Is(err, secretfile.ErrUTF16) || !strings.Contains(err.Error(), "mqtt_second.password_file: "+path) {
		t.Error(err)
	}
}
