// SPDX-License-Identifier: Apache-2.0

// Package authtest makes accounts for tests whose hashes cost next to nothing: with the race detector a real one takes a second.
package authtest

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"

	"visavis/capture/internal/auth"
)

const salt = "saltsalt"

// Add appends an account to the file and returns its token, if it has no password.
func Add(t testing.TB, file auth.File, wanted auth.Wanted) (token string) {
	t.Helper()
	kind, secret, id := auth.Password, wanted.Password, ""
	if secret == "" {
		sum := sha256.Sum256([]byte(wanted.Name))
		text := strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))
		kind, id, secret = auth.Token, text[:8], text[8:40]
		token = "vis_" + id + "_" + secret
	}
	lines := fmt.Sprintf("[[account]]\nname = %q\nrole = %q\ncameras = [%s]\nkind = %q\nid = %q\nhash = %q\n\n",
		wanted.Name, wanted.Role, quoted(wanted.Cameras), kind, id, cheap(secret))
	out, err := os.OpenFile(file.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.WriteString(lines); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return token
}

func quoted(texts []string) string {
	made := make([]string, len(texts))
	for i, text := range texts {
		made[i] = fmt.Sprintf("%q", text)
	}
	return strings.Join(made, ", ")
}

// cheap is an argon2id hash of 8 KiB.
func cheap(secret string) string {
	sum := argon2.IDKey([]byte(secret), []byte(salt), 1, 8, 1, 16)
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=8,t=1,p=1$%s$%s", argon2.Version, encode([]byte(salt)), encode(sum))
}
