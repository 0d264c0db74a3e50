// SPDX-License-Identifier: Apache-2.0

package backoff

import (
	"context"
	"testing"
	"time"
)

func TestWaitsDoubleUpToTheMostAndStartAgainAfterReset(t *testing.T) {
	b := New(20*time.Millisecond, 100*time.Millisecond)
	for _, full := range []time.Duration{20, 40, 80, 100, 100} {
		full *= time.Millisecond
		if got := b.Next(); got < full/2 || got > full {
			t.Fatalf("wait %v, want between %v and %v", got, full/2, full)
		}
	}
	b.Reset()
	if got := b.Next(); got > 20*time.Millisecond {
		t.Fatalf("after Reset the wait is %v, want at most 20ms", got)
	}
}

func TestWhatEndsSoonIsTriedEverLessOften(t *testing.T) {
	b := New(20*time.Millisecond, time.Second)
	b.Next()
	if b.Ran(time.Second-1) || b.Next() < 20*time.Millisecond {
		t.Error("a short run began the waits anew")
	}
	if !b.Ran(time.Second) || b.Next() > 20*time.Millisecond {
		t.Error("a long run did not")
	}
}

func TestTwoThatStartTogetherDoNotStayInStep(t *testing.T) {
	a, b := New(time.Second, time.Minute), New(time.Second, time.Minute)
	for range 20 {
		if a.Next() != b.Next() {
			return
		}
	}
	t.Fatal("20 waits of two are the same: after a power cut all devices would come to the broker at once")
}

func TestAnEndedContextEndsTheWait(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if New(time.Hour, time.Hour).Wait(ctx) {
		t.Fatal("Wait reported a full wait although the context had ended")
	}
}
