// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"strconv"
	"testing"
)

func TestWhoTakesAllTheyCanLeaveRoomForOneMore(t *testing.T) {
	const step, steps = 64 << 10, 1024
	bodies := newBudget(step * steps)
	for i, left := range []int64{256, 64, 16, 4} {
		greedy := bodies.of(sender{account: strconv.Itoa(i)})
		for greedy.take(step) {
			continue
		}
		if bodies.free != left*step {
			t.Errorf("client %d leaves %d bytes, want %d", i, bodies.free, left*step)
		}
	}
	if !bodies.of(sender{account: "polite"}).take(step) {
		t.Error("nothing is left for one that takes little")
	}
}

func TestWhatAClientGivesBackIsFree(t *testing.T) {
	bodies := newBudget(400)
	mine := bodies.of(sender{})
	if !mine.take(200) || !mine.take(100) || mine.take(1) {
		t.Error("alone a client may hold 300 of 400 bytes, and no more")
	}
	mine.giveBack(300)
	if bodies.free != 400 || len(bodies.held) != 0 {
		t.Errorf("%d bytes are free, %v are held", bodies.free, bodies.held)
	}
}
