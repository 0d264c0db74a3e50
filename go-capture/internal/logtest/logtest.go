// SPDX-License-Identifier: Apache-2.0

// Package logtest lets tests hear what is logged.
package logtest

import (
	"log"
	"log/slog"
	"testing"
)

// Hear gives all that is logged to a handler until the test ends. No other test may run beside it.
func Hear(t testing.TB, by slog.Handler) {
	t.Helper()
	usual, writer, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(by))
	t.Cleanup(func() {
		slog.SetDefault(usual)
		log.SetOutput(writer) // slog's first handler writes there, and SetDefault has led that to ours
		log.SetFlags(flags)
	})
}
