// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"visavis/capture/internal/untrusted"
)

// read returns nil when there is no note.
func read(path string) (*note, error) {
	content, err := untrusted.Read(path, mostBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decode(content)
}

// decode believes a note only when every rule of the contract holds.
func decode(content []byte) (*note, error) {
	var found note
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&found); err != nil {
		return nil, fmt.Errorf("it is not as the contract says: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("it goes on behind its end")
	}
	if err := found.check(); err != nil {
		return nil, err
	}
	return &found, nil
}

func choice(name, value string, choices ...string) error {
	if !slices.Contains(choices, value) {
		return fmt.Errorf("%s is %.40q, not one of %q", name, value, choices)
	}
	return nil
}

func text(name, value string, most int) error {
	if utf8.RuneCountInString(value) > most {
		return fmt.Errorf("%s is longer than %d characters", name, most)
	}
	if strings.ContainsFunc(value, unicode.IsControl) {
		return fmt.Errorf("%s holds a control character", name)
	}
	return nil
}

func number(name string, value, least, most int64) error {
	if value < least || value > most {
		return fmt.Errorf("%s is %d, not %d to %d", name, value, least, most)
	}
	return nil
}
