// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

const credentialFile = `
[mqtt]
user = "porch"
password_file = "credential:mqtt.password"
[[camera]]
id = "door"
source = "rtsp://camera/1"
user = "me"
password_file = "credential:door"
`

func TestACredentialOfSystemdIsAFileLikeAnyOther(t *testing.T) {
	secrets := t.TempDir()
	put(t, filepath.Join(secrets, "mqtt.password"), "secret\n")
	put(t, filepath.Join(secrets, "door"), "secret\n")
	made := load(t, write(t, credentialFile), "CREDENTIALS_DIRECTORY="+secrets)
	if want := filepath.Join(secrets, "mqtt.password"); made.MQTT.PasswordFile != want {
		t.Errorf("mqtt.password_file is %s, want %s", made.MQTT.PasswordFile, want)
	}
	if want := filepath.Join(secrets, "door"); made.Cameras[0].PasswordFile != want {
		t.Errorf("camera[0].password_file is %s, want %s", made.Cameras[0].PasswordFile, want)
	}
}

func TestACredentialThatIsNotThereIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		env    []string
		reason string
	}{
		"outside systemd": {nil, "systemd gives this program no credentials"},
		"not loaded":      {[]string{"CREDENTIALS_DIRECTORY=" + t.TempDir()}, "no such file"},
	} {
		problems := refused(t, write(t, credentialFile), c.env...)
		if len(problems) != 2 || problems[0].Key != "mqtt.password_file" || !strings.Contains(problems[0].Reason, c.reason) {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func TestNoCredentialLeadsOutOfTheirFolder(t *testing.T) {
	secrets := t.TempDir()
	put(t, filepath.Join(secrets, "..", "outside"), "secret")
	for _, name := range []string{"", ".", "..", "../outside", "a/b", "/etc/passwd", " x"} {
		text := strings.Replace(credentialFile, "credential:mqtt.password", "credential:"+name, 1)
		problems := refused(t, write(t, text), "CREDENTIALS_DIRECTORY="+secrets)
		if problems[0].Key != "mqtt.password_file" || !strings.Contains(problems[0].Reason, "is not the name of a credential") {
			t.Errorf("%q: %v", name, problems)
		}
	}
}

func TestWithoutCredentialsOnlyOtherFilesAreAskedFor(t *testing.T) {
	var problems Problems
	_, err := Program{NoCredentials: true}.Load(write(t, credentialFile+"[web]\ncert = \"/nowhere/page.pem\"\nkey = \"credential:web.key\"\n"), nil, nil)
	if !errors.As(err, &problems) || len(problems) != 1 || problems[0].Key != "web.cert" {
		t.Errorf("problems are %v", err)
	}
}

func TestAWorkerNeedsNoSecret(t *testing.T) {
	made, err := loadForWorker(write(t, credentialFile+`
[web]
cert = "/nowhere/page.pem"
key = "/nowhere/page.key"
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if made.MQTT.PasswordFile != "credential:mqtt.password" || made.Web.Key != "/nowhere/page.key" {
		t.Errorf("the files are %s and %s", made.MQTT.PasswordFile, made.Web.Key)
	}
}

func TestAWorkerHasTheCredentialsOfItsOwnService(t *testing.T) {
	file := write(t, credentialFile+"[detector]\nkserve_token_file = \"credential:kserve.token\"\n")
	made, err := loadForWorker(file, []string{"CREDENTIALS_DIRECTORY=/run/credentials/worker"})
	if err != nil {
		t.Fatal(err)
	}
	if made.Detector.KServeTokenFile != "/run/credentials/worker/kserve.token" || made.MQTT.PasswordFile != "credential:mqtt.password" {
		t.Errorf("the files are %s and %s", made.Detector.KServeTokenFile, made.MQTT.PasswordFile)
	}
	if made, err = loadForWorker(file, nil); err != nil || made.Detector.KServeTokenFile != "credential:kserve.token" {
		t.Errorf("outside systemd: %+v, %v", made, err)
	}
}
