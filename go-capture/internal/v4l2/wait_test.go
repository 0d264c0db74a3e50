// SPDX-License-Identifier: Apache-2.0

package v4l2

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestAWaitThatHasEndedWritesToNoDescriptorThatIsOpenedLater(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // what the end of ctx starts runs when this goroutine waits, and not before
	w, err := newWaiter(-1)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	endsMeanwhile := func() error { cancel(); return nil }
	if err := errors.Join(w.until(ctx, time.Second, endsMeanwhile), w.close()); err != nil {
		t.Fatal(err)
	}
	later, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil || later != w.wake {
		t.Fatalf("descriptor %d, wanted %d as before, %v", later, w.wake, err)
	}
	defer func() { _ = unix.Close(later) }()
	for range 100 {
		runtime.Gosched()
	}
	if _, err := unix.Read(later, make([]byte, 8)); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("somebody wrote to it: %v", err)
	}
}
