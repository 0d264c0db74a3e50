// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"path/filepath"
	"testing"
	"time"
)

// BenchmarkAKnownToken is what each request of a program costs after its first.
func BenchmarkAKnownToken(b *testing.B) {
	file := File{filepath.Join(b.TempDir(), "credentials.toml")}
	token, err := file.Add(Wanted{Name: "robot", Role: "viewer", Cameras: []string{"*"}})
	if err != nil {
		b.Fatal(err)
	}
	gate, err := Open(Settings{File: file, SessionIdle: time.Hour, SessionMost: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		who, err := gate.ByToken(context.Background(), home, token)
		if err != nil {
			b.Fatal(err)
		}
		_, release := gate.Hold(context.Background(), who)
		release()
	}
}

// BenchmarkAPassword is what a login costs.
func BenchmarkAPassword(b *testing.B) {
	h := phc{cost: cost{memoryKiB: 19 << 10, passes: 2, lanes: 1}, salt: make([]byte, saltBytes)}
	for range b.N {
		h.of(password, sumBytes)
	}
}
