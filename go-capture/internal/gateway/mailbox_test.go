// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"slices"
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

func TestAPictureForWhichThereWasNoMemoryReplacesNone(t *testing.T) {
	box := newMailbox(func() {})
	box.put(context.Background(), 0, &body{})
	box.put(context.Background(), 1, nil)
	if next, _ := box.tryTake(); next.picture == nil || next.index != 0 || !slices.Equal(next.dropped, []uint64{1}) {
		t.Errorf("%+v is taken", next)
	}
}

// A client that sends faster than it reads is held up, and goes on when it has read.
func TestWhoeverHasTooManyReplacedWaitsForTheNextAnswer(t *testing.T) {
	box, memory := newMailbox(func() {}), newBudget(1000)
	gone, leave := context.WithCancel(context.Background())
	leave() // whoever has to wait
	put := func(index uint64) bool {
		picture := &body{share: memory.of(sender{})}
		return picture.hold(1) == nil && box.put(gone, index, picture)
	}
	index := uint64(0)
	for ; index < 2*droppedMost && put(index); index++ {
	}
	if memory.free != 999 {
		t.Errorf("%d pictures are held, and one waits", 1000-memory.free)
	}
	if next, _ := box.tryTake(); next.index != droppedMost || len(next.dropped) != droppedMost {
		t.Errorf("the %d. is taken, and %d were replaced", next.index, len(next.dropped))
	}
	select {
	case <-box.taken:
	default:
		t.Error("whoever waits is not told that there is room")
	}
	if !put(index) {
		t.Error("there is no room")
	}
	if next, _ := box.tryTake(); next.index != index || len(next.dropped) != 0 {
		t.Errorf("the %d. is taken, and %v were replaced", next.index, next.dropped)
	}
}
