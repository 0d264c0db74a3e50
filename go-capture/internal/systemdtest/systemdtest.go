// SPDX-License-Identifier: Apache-2.0

// Package systemdtest listens to what tests tell systemd.
package systemdtest

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"visavis/capture/internal/waiting"
)

// Told listens as systemd does and returns what it was told next.
func Told(t *testing.T) (next func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		buffer := make([]byte, 1024)
		if err := socket.SetReadDeadline(time.Now().Add(waiting.Most)); err != nil {
			t.Fatal(err)
		}
		n, err := socket.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
}
