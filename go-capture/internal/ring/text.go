// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// text is what stands before the padding; bytes that are no UTF-8 are replaced, since what shows the text may refuse them.
func text(raw []byte) string {
	if end := bytes.IndexByte(raw, 0); end >= 0 {
		raw = raw[:end]
	}
	return string(bytes.ToValidUTF8(raw, []byte("\uFFFD")))
}

// setText stores s and pads with NUL; a character that does not fit whole is left out.
func setText(raw []byte, s string) {
	if len(s) > len(raw) {
		end := len(raw)
		for end > 0 && !utf8.RuneStart(s[end]) {
			end--
		}
		s = s[:end]
	}
	clear(raw[copy(raw, s):])
}

func checkSize(name string, b []byte, size int) error {
	if len(b) < size {
		return fmt.Errorf("decode %s: needs %d bytes, there are %d", name, size, len(b))
	}
	return nil
}

func checkHead(name string, b []byte, kind uint16, size int) error {
	if err := checkSize(name, b, size); err != nil {
		return err
	}
	var head Head
	head.Get(b)
	if head.Type != kind {
		return fmt.Errorf("decode %s: message type is %d, not %d", name, head.Type, kind)
	}
	if int64(head.Length) != int64(len(b)) {
		return fmt.Errorf("decode %s: its length says %d bytes, the packet has %d", name, head.Length, len(b))
	}
	return nil
}

// checkTail compares a message's size with its fixed part and `count` entries behind it.
func checkTail(name string, b []byte, fixed, entry int, count uint32) error {
	if want := int64(fixed) + int64(entry)*int64(count); want != int64(len(b)) {
		return fmt.Errorf("decode %s: must have %d bytes, the packet has %d", name, want, len(b))
	}
	return nil
}

func wrongValue(name, field string, have, want any) error {
	return fmt.Errorf("decode %s: %s is %v, not %v; install worker and daemon from one release", name, field, have, want)
}
