// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"testing"
	"time"

	"visavis/capture/internal/waiting"
)

// stuck is a device whose driver hangs until `free` is closed: none that does can be had here. `closed` hears of each Close.
type stuck struct{ free, closed chan struct{} }

func newStuck() stuck { return stuck{make(chan struct{}), make(chan struct{}, hangingMost+1)} }

func (s stuck) open() (stuck, error) {
	<-s.free
	return s, nil
}

func (s stuck) Close() error {
	<-s.free
	s.closed <- struct{}{}
	return nil
}

// comesBack lets the driver go on, and waits until it was closed so often and nothing hangs any more.
func (s stuck) comesBack(t *testing.T, closed int) {
	t.Helper()
	close(s.free)
	for range closed {
		<-s.closed
	}
	waiting.Until(t, "it does not count as hanging any more", func() bool { return hanging.count("bad") == 0 })
}

func TestADriverThatHangsWhileItOpensIsLeftBehindAndClosedWhenItComesBack(t *testing.T) {
	device := newStuck()
	if _, err := openWithin(t.Context(), "bad", time.Millisecond, device.open); !errors.Is(err, errNotOpened) {
		t.Errorf("%v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	other := newStuck()
	if _, err := openWithin(ended, "bad", time.Hour, other.open); !errors.Is(err, context.Canceled) {
		t.Errorf("with the context: %v", err)
	}
	close(other.free)
	<-other.closed
	device.comesBack(t, 1)
}

func TestADriverThatHangsWhileItClosesIsLeftBehind(t *testing.T) {
	device := newStuck()
	if err := closeWithin("bad", time.Millisecond, device); !errors.Is(err, errNotClosed) {
		t.Errorf("%v", err)
	}
	device.comesBack(t, 1)
}

func TestAfterSoManyThatHangACameraIsNotOpenedAnyMoreAndOthersAre(t *testing.T) {
	device := newStuck()
	for range hangingMost {
		if _, err := openWithin(t.Context(), "bad", 0, device.open); !errors.Is(err, errNotOpened) {
			t.Fatal(err)
		}
	}
	if _, err := openWithin(t.Context(), "bad", time.Hour, device.open); err == nil || errors.Is(err, errNotOpened) {
		t.Errorf("one more: %v", err)
	}
	if _, err := openWithin(t.Context(), "another", 0, device.open); !errors.Is(err, errNotOpened) {
		t.Errorf("another camera is not even tried: %v", err)
	}
	device.comesBack(t, hangingMost+1)
}
