// SPDX-License-Identifier: Apache-2.0

// Package rawjson looks into well-formed JSON where it lies: encoding/json copies a picture up to three times before it is one. Check the
// JSON first.
package rawjson

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strconv"
)

var (
	errNoObject = errors.New("it is no object")
	errNested   = errors.New("there is a list or an object in it")
	errNoText   = errors.New("it is no text")
)

// Members visits the names and values of an object as they stand there, texts with their quotes. A list or an object among them is refused.
func Members(object []byte, visit func(name, value []byte) error) error {
	rest := bytes.TrimLeft(object, spaces)
	if len(rest) == 0 || rest[0] != '{' {
		return errNoObject
	}
	rest = rest[1:]
	for {
		var name, value []byte
		if name, rest = literal(rest); name == nil {
			return nil
		}
		if value, rest = literal(rest); value == nil {
			return errNested
		}
		if err := visit(name, value); err != nil {
			return err
		}
	}
}

const spaces = " \t\r\n"

// literal is the next text, number or word; nil where a bracket stands.
func literal(text []byte) (one, behind []byte) {
	text = bytes.TrimLeft(text, spaces+",:")
	if len(text) == 0 || bytes.IndexByte([]byte("{}[]"), text[0]) >= 0 {
		return nil, text
	}
	if text[0] == '"' {
		end := EndOfText(text, 0)
		return text[:end], text[end:]
	}
	if end := bytes.IndexAny(text, spaces+",}"); end > 0 {
		return text[:end], text[end:]
	}
	return text, nil
}

// EndOfText is behind the closing quote of a text that begins at `at`.
func EndOfText(text []byte, at int) int {
	for at++; at < len(text) && text[at] != '"'; at++ {
		if text[at] == '\\' {
			at++
		}
	}
	return min(at+1, len(text))
}

// Base64 decodes a text, with its quotes, into memory that has as many bytes, or is the text's own: what is written never overtakes what
// is read.
func Base64(into, text []byte) ([]byte, error) {
	if len(text) < 2 || text[0] != '"' {
		return nil, errNoText
	}
	text = text[1 : len(text)-1]
	if bytes.IndexByte(text, '\\') >= 0 {
		text = unescaped(into, text)
	}
	n, err := base64.StdEncoding.Decode(into, text)
	return into[:n], err
}

func unescaped(into, text []byte) []byte {
	plain := into[:0]
	for at := 0; at < len(text); {
		one, length := text[at], 1
		if one == '\\' {
			one, length = escape(text[at:])
		}
		plain, at = append(plain, one), at+length
	}
	return plain
}

// notBase64 stands for whatever cannot be in base64.
const notBase64 = '!'

// escape reads what a backslash begins.
func escape(text []byte) (one byte, length int) {
	const unicode = len(`\u002f`)
	switch kind := text[1]; {
	case kind == '/':
		return '/', 2
	case kind == 'n' || kind == 'r':
		return '\n', 2 // which base64 passes over
	case kind == 'u' && len(text) >= unicode:
		if code, err := strconv.ParseUint(string(text[2:unicode]), 16, 7); err == nil {
			return byte(code), unicode
		}
		return notBase64, unicode
	}
	return notBase64, 2
}
