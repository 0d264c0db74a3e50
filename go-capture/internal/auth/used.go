// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"visavis/capture/internal/state"
)

// ErrUsed says that somebody has become the administrator by a code before.
var ErrUsed = errors.New("this claim code was used before")

// usedCodes is a file beside the credentials with a hash of each code that its owner has had from the start and that was used. The
// others are forgotten when they were used. The hash of so short a code hides little, but it is worth nothing any more.
type usedCodes struct{ path string }

func (f File) usedCodes() usedCodes { return usedCodes{f.Path + ".claimed"} }

func lineOf(code string) []byte {
	sum := sha256.Sum256([]byte(code))
	return append(hex.AppendEncode(nil, sum[:]), '\n')
}

// refuse fails on a code that is in the file, and on a file that cannot be read.
func (u usedCodes) refuse(code string) error {
	held, err := u.read()
	if err == nil && bytes.Contains(held, lineOf(code)) {
		return ErrUsed
	}
	return err
}

func (u usedCodes) read() ([]byte, error) {
	held, err := state.Read(u.path, fileBytesMost)
	if err != nil {
		return nil, fmt.Errorf("read which claim codes were used: %w", err)
	}
	return held, nil
}

// add notes a code; takeBack removes it again, for a claim that failed after all.
func (u usedCodes) add(code string) (takeBack func() error, err error) {
	held, err := u.read()
	if err != nil {
		return nil, err
	}
	if err := state.Replace(u.path, append(bytes.Clone(held), lineOf(code)...)); err != nil {
		return nil, fmt.Errorf("note that the claim code is used: %w", err)
	}
	return func() error { return u.restore(held) }, nil
}

func (u usedCodes) restore(held []byte) error {
	if held == nil {
		return state.Remove(u.path)
	}
	return state.Replace(u.path, held)
}

// exist tells whether any code was ever noted.
func (u usedCodes) exist() bool {
	_, err := os.Lstat(u.path)
	return !errors.Is(err, fs.ErrNotExist)
}
