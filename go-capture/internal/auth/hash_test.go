// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"testing"
)

// Made with argon2-cffi 25.1.0: hash_secret(b"correct horse battery", b"saltsaltsalt", 2, 19456, 1, 32, Type.ID).
const foreign = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$OgdRwrKrUb276fcKlz9U4jFcFVrNS1sMxXDkysDX+Y4"

func TestAHashIsReadAsItIsWritten(t *testing.T) {
	made := hashOf(password)
	read, err := parseHash(made.String())
	if err != nil {
		t.Fatal(err)
	}
	for secret, want := range map[string]bool{password: true, password + " ": false, "": false} {
		if got, err := newVerifier().matches(context.Background(), read, secret); err != nil || got != want {
			t.Errorf("%q: %t, %v", secret, got, err)
		}
	}
	if hashOf(password).String() == made.String() {
		t.Error("two hashes of one secret are the same")
	}
}

// A Mac may write ü as two characters, and a telephone as one.
func TestAPasswordIsTheSameHoweverItsLettersAreWritten(t *testing.T) {
	const one, two = "kr\u00fcmelmonster am see", "kru\u0308melmonster am see"
	asWritten := hashOf(password) // as hashes were made before
	asWritten.sum = asWritten.of(two, sumBytes)
	for _, c := range []struct {
		of    phc
		typed string
		good  bool
	}{
		{hashOf(one), one, true}, {hashOf(one), two, true}, {hashOf(two), one, true}, {hashOf(two), two, true},
		{asWritten, two, true}, {asWritten, one, false}, {hashOf(one), "krumelmonster am see", false},
	} {
		if good, err := newVerifier().matches(t.Context(), c.of, c.typed); err != nil || good != c.good {
			t.Errorf("%+q: %v, %v; want %v", c.typed, good, err, c.good)
		}
	}
	if goodPassword("a\u0308a\u0308a\u0308a\u0308a\u0308a\u0308") == nil {
		t.Error("six letters are enough, since they are written in twelve characters")
	}
}

func TestAHashOfAnotherProgramIsUnderstood(t *testing.T) {
	read, err := parseHash(foreign)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := newVerifier().matches(context.Background(), read, password); err != nil || !got {
		t.Errorf("%t, %v", got, err)
	}
}

func FuzzParseHash(f *testing.F) {
	f.Add(foreign)
	f.Add("$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$c2FsdHNhbHRzYWx0c2FsdA")
	f.Fuzz(func(t *testing.T, text string) {
		read, err := parseHash(text)
		if err == nil && read.String() != text {
			t.Errorf("%q is read as %q", text, read)
		}
		if err == nil && (read.memoryKiB > most.memoryKiB || read.passes > most.passes) {
			t.Errorf("%q may cost anything", text)
		}
	})
}

func FuzzTokenAndCookie(f *testing.F) {
	f.Add("vis_abcdefgh_" + "abcdefghijklmnopabcdefghijklmnop")
	f.Add("")
	file := File{f.TempDir() + "/credentials.toml"}
	token, err := file.Add(Wanted{Name: "robot", Role: "viewer"})
	if err != nil {
		f.Fatal(err)
	}
	gate, err := Open(Settings{File: file, SessionIdle: 1, SessionMost: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := gate.ByToken(context.Background(), home, text); err == nil && text != token {
			t.Errorf("%q is taken for the token", text)
		}
		if _, err := gate.BySession(text); err == nil {
			t.Errorf("%q is taken for a session", text)
		}
	})
}
