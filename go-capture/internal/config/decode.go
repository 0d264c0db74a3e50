// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
)

// byteOrderMark begins a file that an editor of Windows saved as UTF-8.
var byteOrderMark = []byte("\ufeff")

// otherQuotes are what editors for texts make of " and '.
const otherQuotes = "“”„‘’"

// decode reads the TOML of a file. What is wrong comes with its line, 0 when that is not known.
func decode(text []byte) (map[string]any, int, *refusal) {
	lines := bytes.Split(text, []byte("\n"))
	if line := firstNotUTF8(lines); line > 0 {
		return nil, line, refuse("save it as UTF-8, which the editor offers where it saves", "not UTF-8")
	}
	var values map[string]any
	err := toml.Unmarshal(text, &values)
	if err == nil {
		return values, 0, nil
	}
	line := 0
	if at := (*toml.DecodeError)(nil); errors.As(err, &at) {
		line, _ = at.Position()
	}
	if line > 0 && line <= len(lines) && bytes.ContainsAny(lines[line-1], otherQuotes) {
		return nil, line, refuse(`write straight ones, "..." or '...'`, "not TOML: it has typographic quotes")
	}
	return nil, line, refuse("see docs/reference/config.md for a sample", "not TOML: %s", strings.TrimPrefix(err.Error(), "toml: "))
}

// firstNotUTF8 is the number of the first line that is no UTF-8, 0 when all are.
func firstNotUTF8(lines [][]byte) int {
	for i, line := range lines {
		if !utf8.Valid(line) {
			return i + 1
		}
	}
	return 0
}
