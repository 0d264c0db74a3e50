// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// Somebody writes the secret where the path of its file belongs: it must not reach a log.
func TestASecretInPlaceOfItsFileIsNotRepeated(t *testing.T) {
	for _, written := range []string{`"hunter2"`, `"some/hunter2"`, `"credential:hunter2 !"`, `"-----BEGIN KEY-----\nhunter2\n"`, `72000017`,
		`["hunter2"]`, `{ hunter2 = 1 }`, `"hunter2` + strings.Repeat("x", 300) + `"`} {
		for section, key := range map[string]string{
			"[mqtt]\nuser = \"porch\"\n": "password_file", "[mqtt_second]\nurl = \"mqtts://box\"\ncert = \"/dev/null\"\n": "key",
			"[web]\n": "key", "[detector]\n": "kserve_token_file", "[[camera]]\nid = \"door\"\nsource = \"rtsp://box/1\"\nuser = \"me\"\n": "password_file",
		} {
			said := refused(t, write(t, section+key+" = "+written+"\n")).Error()
			if strings.Contains(said, "hunter2") || strings.Contains(said, "72000017") || !strings.Contains(said, key) {
				t.Errorf("%s = %s: %s", key, written, said)
			}
		}
	}
}

func TestWhatIsPlainlyAPathIsToldWithTheReason(t *testing.T) {
	file := write(t, "")
	folder := filepath.Dir(file)
	put(t, filepath.Join(folder, "secrets", "one"), "secret")
	for written, said := range map[string]string{
		"/nonexistent/password": "/nonexistent/password cannot be read: no such file", "./none": folder + "/none cannot be read: no such file",
		"../none": filepath.Dir(folder) + "/none cannot be read: no such file",
		"secrets": folder + "/secrets is not a file",
	} {
		put(t, file, fmt.Sprintf("[mqtt]\nuser = \"porch\"\npassword_file = %q\n", written))
		if problems := refused(t, file); !strings.Contains(problems[0].Reason, said) {
			t.Errorf("%s: %v", written, problems)
		}
	}
}

// A worker reads its token itself, and the name of the file stands in its command line.
func TestAWorkerIsNotToldASecretInPlaceOfItsFile(t *testing.T) {
	_, err := loadForWorker(write(t, "[mqtt]\nuser = \"porch\"\npassword_file = \"not asked of a worker\"\n[detector]\nkserve_token_file = \"hunter2\"\n"), nil)
	if err == nil || !strings.Contains(err.Error(), "detector.kserve_token_file") || strings.Contains(err.Error(), "mqtt.password_file") {
		t.Errorf("error %v, want one about the token alone", err)
	}
	if made, err := loadForWorker(write(t, "[detector]\nkserve_token_file = \"/nonexistent/token\"\n"), nil); err != nil || made.Detector.KServeTokenFile == "" {
		t.Errorf("a path is refused: %v", err)
	}
}

// A start takes files that are missing for now: what is no path would come back from whoever opens it.
func TestAStartRefusesASecretInPlaceOfItsFileToo(t *testing.T) {
	for written, taken := range map[string]bool{"hunter2": false, "/nonexistent/password": true} {
		_, err := Program{Starts: true}.Load(write(t, fmt.Sprintf("[mqtt]\nuser = \"porch\"\npassword_file = %q\n", written)), nil, nil)
		if (err == nil) != taken || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", written, err)
		}
	}
}

func TestASecretThatNobodyWouldTakeIsRefusedByTheNameOfItsFile(t *testing.T) {
	const broker, camera = "[mqtt]\nuser = \"porch\"\n", "[[camera]]\nid = \"door\"\nsource = \"rtsp://box/1\"\nuser = \"me\"\n"
	for _, c := range []struct {
		section, key, secret, reason string
	}{
		{broker, "mqtt.password_file", "\ufeffhunter2\r\n", ""},
		{broker, "mqtt.password_file", "h\x00u\x00n\x00t\x00", "as UTF-16 does"},
		{broker, "mqtt.password_file", "h\xfcnter", ""},
		{broker, "mqtt.password_file", "", "is empty"},
		{camera, "camera[0].password_file", "h\xfcnter\n", ""},
		{camera, "camera[0].password_file", "\xff\xfeh\x00", "as UTF-16 does"},
	} {
		file := write(t, c.section+"password_file = \"secret.txt\"\n")
		secret := filepath.Join(filepath.Dir(file), "secret.txt")
		put(t, secret, c.secret)
		_, err := Load(file, nil, nil)
		if c.reason == "" {
			if err != nil {
				t.Errorf("%q: %v", c.secret, err)
			}
			continue
		}
		for _, says := range []string{c.key, secret, c.reason} {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s %q: %v, want %q in it", c.key, c.secret, err, says)
			}
		}
		if _, err := (Program{Starts: true}).Load(file, nil, nil); err != nil { // who uses it tells of it, and tries again
			t.Errorf("%s keeps the daemon from starting: %v", c.key, err)
		}
	}
}

func TestACamerasPasswordIsReadAsAnEditorWritesIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "password")
	camera := Camera{ID: "door", Source: "rtsp://box/1", User: "me", PasswordFile: path}
	put(t, path, "\ufeffsecret\r\n")
	if address, err := camera.Address(); err != nil || address != "rtsp://me:secret@box/1" {
		t.Errorf("%s, %v", address, err)
	}
	put(t, path, "\xff\xfes\x00")
	if _, err := camera.Address(); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "save it as UTF-8") {
		t.Error(err)
	}
}
