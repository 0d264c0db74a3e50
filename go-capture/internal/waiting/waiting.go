// SPDX-License-Identifier: Apache-2.0

// Package waiting is how tests wait for what other goroutines and programs do.
package waiting

import (
	"context"
	"testing"
	"time"
)

// Most bounds every wait. It only ends a test that hangs: a busy machine may hold anything up for seconds, and no test may conclude
// from that.
const Most = 30 * time.Second

const pause = time.Millisecond

// Until waits until something holds.
func Until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	within(t, Most, what, holds)
}

func within(t testing.TB, most time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(most); !holds(); time.Sleep(pause) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", most, what)
		}
	}
}

// For is the next value of a channel, or the zero value once it is closed.
func For[T any](t testing.TB, what string, from <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-from:
	case <-time.After(Most):
		t.Fatalf("not within %v: %s", Most, what)
	}
	return value
}

// Context ends when a test has waited for long enough, or has ended.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Most)
	t.Cleanup(cancel)
	return ctx
}
