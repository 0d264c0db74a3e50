// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"testing"
)

func TestAPictureThatComesWhileTheOneBeforeIsTakenIsTakenOnce(t *testing.T) {
	box := newMailbox(func() {})
	box.put(context.Background(), 0, nil)
	<-box.ready // as take does first
	box.put(context.Background(), 1, nil)
	box.put(context.Background(), 2, &body{})
	if next, ok := box.open(); !ok || next.index != 2 {
		t.Fatalf("%+v, %t", next, ok)
	}
	if next, ok := box.tryTake(); ok {
		t.Errorf("%+v is taken out of an empty box", next)
	}
	gone, leave := context.WithCancel(context.Background())
	leave()
	if next, ok := box.take(gone, nil); ok {
		t.Errorf("%+v is taken out of an empty box", next)
	}
}
