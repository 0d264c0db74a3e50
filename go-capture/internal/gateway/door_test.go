// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"testing"
	"time"
)

func TestADoorThatClosesLetsThoseInsideFinish(t *testing.T) {
	d := newDoor()
	for range 2 {
		if !d.enter() {
			t.Fatal("an open door lets nobody in")
		}
	}
	d.close()
	d.close()
	if d.enter() || !d.isClosing() {
		t.Fatal("a closed door lets somebody in")
	}
	for inside := 2; inside > 0; inside-- {
		select {
		case <-d.empty:
			t.Fatalf("it is empty with %d inside", inside)
		default:
		}
		d.leave()
	}
	<-d.empty
}

func TestAnEmptyDoorIsEmptyAtOnceAndDrainingDoesNotWaitForEver(t *testing.T) {
	g := &Gateway{door: newDoor()}
	g.Drain(time.Hour)
	busy := &Gateway{door: newDoor()}
	busy.door.enter()
	busy.Drain(time.Millisecond)
	if !busy.Stopping() || busy.door.enter() {
		t.Fatal("after draining somebody is let in")
	}
}
