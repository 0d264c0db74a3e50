// SPDX-License-Identifier: Apache-2.0

// Package secretfile reads what stands in a file with one secret, such as a password that somebody wrote with an editor.
// contracts/secret-files.json holds the cases; Python's side obeys it too.
package secretfile

import "bytes"

// Flaw is why what a file holds is no secret, and what to do.
type Flaw struct{ Reason, Remedy string }

func (f Flaw) Error() string { return f.Reason + ": " + f.Remedy }

var (
	// ErrUTF16 is of what Windows calls Unicode, and of what is no text.
	ErrUTF16 = Flaw{"it holds what no password has, as UTF-16 does", "save it as UTF-8, which the editor offers where it saves"}
	// ErrEmpty is of a file without a secret.
	ErrEmpty = Flaw{"it is empty", "write the secret into it, or leave the setting out"}
)

var (
	mark       = []byte("\ufeff") // with which Windows begins UTF-8
	utf16Marks = [][]byte{{0xff, 0xfe}, {0xfe, 0xff}}
)

// Needed is a secret that must be there.
func Needed(content []byte) (string, error) {
	secret, err := Bytes(content)
	if err == nil && secret == "" {
		err = ErrEmpty
	}
	return secret, err
}

// Bytes is a secret of any encoding that has no NUL, as cameras and brokers take it; it may be empty. The line's end that an editor adds is
// no part of it.
func Bytes(content []byte) (string, error) {
	if bytes.HasPrefix(content, utf16Marks[0]) || bytes.HasPrefix(content, utf16Marks[1]) || bytes.IndexByte(content, 0) >= 0 {
		return "", ErrUTF16
	}
	return string(bytes.TrimRight(bytes.TrimPrefix(content, mark), "\r\n")), nil
}
