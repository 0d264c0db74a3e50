// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"strings"
	"testing"

	"visavis/capture/internal/quota"
)

func TestALoginLeavesStreamsToOthers(t *testing.T) {
	g := &Gateway{settings: Settings{Streams: 4}, sockets: quota.New(4), door: newDoor(), tally: newTally()}
	var release func()
	for n := range 3 {
		var err error
		if release, err = g.OpenStream(Caller{Account: "robot"}); err != nil {
			t.Fatalf("stream %d: %v", n, err)
		}
	}
	_, err := g.OpenStream(Caller{Account: "robot"})
	if told := fmt.Sprint(err); !strings.Contains(told, "this login has 3") {
		t.Errorf("with all but one it is told %v", err)
	}
	if _, err := g.OpenStream(Caller{Account: "another"}); err != nil {
		t.Errorf("another login is told %v", err)
	}
	_, err = g.OpenStream(Caller{Account: "a third"})
	if told := fmt.Sprint(err); !strings.Contains(told, "gateway.streams = 4 allows no more") {
		t.Errorf("with all it is told %v", err)
	}
	release()
	if _, err := g.OpenStream(Caller{Account: "robot"}); err != nil {
		t.Errorf("after one is back it is told %v", err)
	}
}
