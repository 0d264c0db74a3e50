// SPDX-License-Identifier: Apache-2.0

package requestlog

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

const idMost = 128

// ID is the first that a client gave, if it can stand in headers, problems and logs as it is; else a new one.
func ID(given []string) string {
	if len(given) > 0 && isID(given[0]) {
		return given[0]
	}
	return strconv.FormatUint(rand.Uint64(), 36) // it need not be a secret, only another one each time
}

func isID(text string) bool {
	return text != "" && len(text) <= idMost && strings.IndexFunc(text, notOfID) < 0
}

func notOfID(c rune) bool {
	letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	return !letter && !strings.ContainsRune("-._~:/+=@", c)
}

// trace is what a traceparent header says: https://www.w3.org/TR/trace-context/.
type trace struct{ id, parent string }

// readTrace takes the one traceparent header of a request; false when there is none, more, or one that is malformed.
func readTrace(all []string) (trace, bool) {
	const known = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"
	if len(all) != 1 || len(all[0]) < len(known) {
		return trace{}, false
	}
	text, more := all[0][:len(known)], all[0][len(known):]
	version, id, parent, flags := text[:2], text[3:35], text[36:52], text[53:]
	dashes := text[2] == '-' && text[35] == '-' && text[52] == '-'
	later := version != "00" && strings.HasPrefix(more, "-") // a later version may say more
	good := dashes && isHex(version) && version != "ff" && isHex(id) && isHex(parent) && isHex(flags)
	if !good || strings.Trim(id, "0") == "" || strings.Trim(parent, "0") == "" || (more != "" && !later) {
		return trace{}, false
	}
	return trace{id, parent}, true
}

func isHex(text string) bool {
	return strings.IndexFunc(text, func(c rune) bool { return (c < '0' || c > '9') && (c < 'a' || c > 'f') }) < 0
}
