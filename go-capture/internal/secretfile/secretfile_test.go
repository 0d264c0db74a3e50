// SPDX-License-Identifier: Apache-2.0

package secretfile

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

type secretFile struct {
	Hex     string
	Secret  string
	Refused bool
}

// table is what both languages obey.
func table(t *testing.T) (cases []secretFile) {
	t.Helper()
	text, err := os.ReadFile("../../../contracts/secret-files.json")
	if err == nil {
		err = json.Unmarshal(text, &cases)
	}
	if err != nil || len(cases) < 8 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	return cases
}

func content(t *testing.T, c secretFile) []byte {
	t.Helper()
	made, err := hex.DecodeString(c.Hex)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestASecretIsWhatTheContractSays(t *testing.T) {
	for _, c := range table(t) {
		if secret, err := Needed(content(t, c)); secret != c.Secret || (err != nil) != c.Refused {
			t.Errorf("%s is %q, %v; want %q, refused: %v", c.Hex, secret, err, c.Secret, c.Refused)
		}
	}
}

// An empty one is a password that a camera may have.
func TestACamerasSecretIsAlsoInOtherEncodings(t *testing.T) {
	others := []secretFile{{Hex: "6bfc636865", Secret: "k\xfcche"}, {Hex: "feff0073", Refused: true}, {Hex: "", Secret: ""}}
	for _, c := range append(table(t), others...) {
		if secret, err := Bytes(content(t, c)); secret != c.Secret || (err != nil) != (c.Refused && c.Hex != "") {
			t.Errorf("%s is %q, %v; want %q, refused: %v", c.Hex, secret, err, c.Secret, c.Refused)
		}
	}
}
