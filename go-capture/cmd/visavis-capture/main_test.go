// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestWhoAsksForHelpIsHelpedAndWhoErrsIsTold(t *testing.T) {
	for arguments, want := range map[string]int{"-h": 0, "-help": 0, "-nosuch": exitWrongUse} {
		var told bytes.Buffer
		if got := run([]string{arguments}, &told, &told); got != want {
			t.Errorf("%s ends with %d, want %d", arguments, got, want)
		}
		if !strings.Contains(told.String(), "visavis-capture -config") {
			t.Errorf("%s says %q", arguments, told.String())
		}
	}
}
