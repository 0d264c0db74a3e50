// SPDX-License-Identifier: Apache-2.0

// Package logtest lets tests hear what is logged.
package logtest

import (
	"context"
	"log"
	"log/slog"
	"sync"
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

// Hang makes everybody who logs wait until goOn is called, or the test ends. reached holds a token once somebody does.
func Hang(t testing.TB) (reached <-chan struct{}, goOn func()) {
	t.Helper()
	h := &hung{slog.DiscardHandler, make(chan struct{}, 1), make(chan struct{})}
	Hear(t, h)
	goOn = sync.OnceFunc(func() { close(h.goesOn) })
	t.Cleanup(goOn)
	return h.reached, goOn
}

// hung is a log whose reader has stopped reading.
type hung struct {
	slog.Handler
	reached, goesOn chan struct{}
}

func (h *hung) Enabled(context.Context, slog.Level) bool { return true }

func (h *hung) Handle(context.Context, slog.Record) error {
	select {
	case h.reached <- struct{}{}:
	default:
	}
	<-h.goesOn
	return nil
}
