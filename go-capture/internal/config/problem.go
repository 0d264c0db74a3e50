// SPDX-License-Identifier: Apache-2.0

package config

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Problem is one thing that is wrong with the configuration.
type Problem struct {
	File        string // empty when the value came from the environment or a flag
	Line        int    // 1 is the first; 0 when the problem is not at a line
	Environment string // "environment VISAVIS_…" or "flag …", empty for a file
	Key         string // such as mqtt.url or camera[0].fps
	Reason      string
	Remedy      string
	MayPass     bool // the system failed, as a worn disk does: another try may succeed
}

// Error is `file:line: key: reason; remedy`, or `environment NAME: key: reason; remedy`.
func (p Problem) Error() string {
	where := p.Environment
	if where == "" {
		where = Printable(p.File)
		if p.Line > 0 {
			where += ":" + strconv.Itoa(p.Line)
		}
	}
	parts := []string{}
	for _, part := range []string{where, p.Key, p.Reason} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ") + "; " + p.Remedy
}

// Printable is a file's name as messages may show it: one with letters that would steer a terminal is quoted.
func Printable(file string) string {
	if utf8.ValidString(file) && !strings.ContainsFunc(file, func(letter rune) bool { return !unicode.IsPrint(letter) }) {
		return file
	}
	return strconv.Quote(file)
}

// Problems is everything that is wrong, in the order of files and lines.
type Problems []Problem

// Error has one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// MayPass tells whether another try may find nothing wrong: what was not read may have been what the rest lacks.
func (p Problems) MayPass() bool {
	return slices.ContainsFunc(p, func(one Problem) bool { return one.MayPass })
}

// passing are failures of the system that say nothing about a configuration.
var passing = []error{unix.EIO, unix.EBADMSG, unix.EUCLEAN, unix.ESTALE, unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EINTR, unix.EAGAIN, unix.ETIMEDOUT}

func mayPass(err error) bool {
	return slices.ContainsFunc(passing, func(one error) bool { return errors.Is(err, one) })
}

// sort keeps what is not in a file after what is, and the order of discovery among equals.
func (p Problems) sort() {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Environment, b.Environment), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
}
