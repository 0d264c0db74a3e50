// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/auth/authtest"
	"visavis/capture/internal/config"
	"visavis/capture/internal/logtest"
)

var owner = auth.Wanted{Name: "anna", Password: "correct horse battery staple"}

func TestADeviceWithACodeOfItsOwnIsClaimedWithIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "claim-code")
	settings, err := config.Load("", []string{"VISAVIS_DEVICE__ID=box", "VISAVIS_WEB__LISTEN=0.0.0.0:0", "VISAVIS_AUTH__ENABLED=true", "VISAVIS_AUTH__CLAIM_CODE_FILE=" + file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	open := func() (*auth.Gate, error) {
		t.Setenv("VISAVIS_STATE_DIR", t.TempDir())
		gate, err := openGate(settings)
		if err != nil {
			return nil, err
		}
		return gate, (&Appliance{config: settings, gate: gate}).welcome()
	}
	if err := os.WriteFile(file, []byte("porch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(); err == nil || !strings.Contains(err.Error(), "auth.claim_code_file: read "+file+": a claim code is") {
		t.Errorf("with something else in the file: %v", err)
	}
	if err := os.WriteFile(file, []byte("ABCD-EFGH\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	gate, err := open()
	if err != nil || !gate.ClaimOpen() {
		t.Fatalf("%v", err)
	}
	if _, _, err := gate.Claim(context.Background(), "192.0.2.1:1", "abcdefgh", owner); err != nil {
		t.Error(err)
	}
}

func TestACodeThatWasUsedIsToldWithTheRemedyWhenTheLastAdministratorHasGone(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("VISAVIS_STATE_DIR", folder)
	file, log := filepath.Join(folder, "claim-code"), &bytes.Buffer{}
	logtest.Hear(t, slog.NewTextHandler(log, nil))
	start := func() *auth.Gate {
		settings, err := config.Load("", []string{"VISAVIS_WEB__LISTEN=0.0.0.0:0", "VISAVIS_AUTH__ENABLED=true", "VISAVIS_AUTH__CLAIM_CODE_FILE=" + file}, nil)
		if err != nil {
			t.Fatal(err)
		}
		gate, err := openGate(settings)
		if err == nil {
			err = (&Appliance{config: settings, gate: gate}).welcome()
		}
		if err != nil {
			t.Fatal(err)
		}
		return gate
	}
	credentials := auth.File{Path: filepath.Join(folder, "credentials.toml")}
	write := func(code string) {
		if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ABCD-EFGH")
	authtest.Add(t, credentials, auth.Wanted{Name: "anna", Role: "admin", Cameras: []string{"*"}, Password: owner.Password})
	start() // of a version that notes codes, after one that did not
	if err := credentials.Revoke("anna"); err != nil {
		t.Fatal(err)
	}
	if start().ClaimOpen() || !strings.Contains(log.String(), "used before: write a new one into the file and restart visavis, or visavis auth add") {
		t.Errorf("the code counts again, or nobody says what helps: %s", log)
	}
	write("JKLM-NPQR")
	if !start().ClaimOpen() {
		t.Errorf("a new code does not count: %s", log)
	}
	if said := log.String(); strings.Contains(said, "EFGH") || strings.Contains(said, "NPQR") {
		t.Errorf("a code is in the log: %s", said)
	}
}

func TestACodeInPlaceOfItsFileIsNeverSaid(t *testing.T) {
	const code = "ABCD-EFGH"
	t.Setenv("VISAVIS_STATE_DIR", t.TempDir())
	settings, err := config.Load("", []string{"VISAVIS_DEVICE__ID=box", "VISAVIS_WEB__LISTEN=0.0.0.0:0", "VISAVIS_AUTH__ENABLED=true", "VISAVIS_AUTH__CLAIM_CODE_FILE=" + code}, nil)
	if err != nil {
		t.Fatal(err)
	}
	gate, err := openGate(settings)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	logtest.Hear(t, slog.NewTextHandler(&log, nil))
	err = (&Appliance{config: settings, gate: gate}).welcome()
	if err == nil || !strings.Contains(err.Error(), "auth.claim_code_file: names no file that can be read") || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
	if said := fmt.Sprint(err, log.String()); strings.Contains(said, code) {
		t.Errorf("said: %s", said)
	}
}
