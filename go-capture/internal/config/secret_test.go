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
