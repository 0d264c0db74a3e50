// SPDX-License-Identifier: Apache-2.0

package history

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"

	"github.com/oklog/ulid/v2"
)

// A line on disk is the CRC32C of an event's JSON in eight hex digits, a space, the JSON as it goes to the broker, a newline.
// JSON holds no newline, so whatever a kill or a bad disk leaves behind ends at the next one. `cut -c10- *.events` shows the JSON.
const (
	sumDigits = 8
	mostLine  = 16 << 10 // an event has less than 1 KiB; what is longer is none
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Entry is one event as it is kept.
type Entry struct {
	ID   string
	JSON []byte
}

func (e Entry) appendLine(to []byte) []byte {
	sum := crc32.Checksum(e.JSON, castagnoli)
	to = hex.AppendEncode(to, []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	to = append(to, ' ')
	to = append(to, e.JSON...)
	return append(to, '\n')
}

// parse reads a line without its newline. The entry shares the line's memory.
func parse(line []byte) (e Entry, sound bool) {
	if len(line) <= sumDigits || line[sumDigits] != ' ' {
		return Entry{}, false
	}
	json := line[sumDigits+1:]
	sum, err := hex.DecodeString(string(line[:sumDigits]))
	if err != nil || uint32(sum[0])<<24|uint32(sum[1])<<16|uint32(sum[2])<<8|uint32(sum[3]) != crc32.Checksum(json, castagnoli) {
		return Entry{}, false
	}
	id := string(text(json, "id"))
	if _, err := ulid.ParseStrict(id); err != nil {
		return Entry{}, false
	}
	return Entry{ID: id, JSON: json}, true
}

// text is a string of an event's JSON. Events are written by this program, without spaces, and no name in them holds a quote or
// a backslash; so this is exact, and tens of times faster than decoding.
func text(json []byte, key string) []byte {
	_, rest, found := bytes.Cut(json, []byte(`"`+key+`":"`))
	value, _, ends := bytes.Cut(rest, []byte{'"'})
	if !found || !ends {
		return nil
	}
	return value
}

// scan calls visit for each sound line until it says enough, and steps over everything else. The entry is valid until visit returns.
func scan(from io.Reader, visit func(Entry) (goOn bool)) error {
	lines := bufio.NewReaderSize(from, mostLine)
	for torn := false; ; {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			torn = true
		case errors.Is(err, io.EOF):
			return nil // what does not end with a newline is still being written, or never was
		case err != nil:
			return err
		case torn:
			torn = false
		default:
			if e, sound := parse(line[:len(line)-1]); sound && !visit(e) {
				return nil
			}
		}
	}
}
