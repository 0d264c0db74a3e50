// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"errors"
	"testing"
)

func TestALoginLeavesSomeToOthers(t *testing.T) {
	for most, share := range map[int]int{1: 1, 3: 3, 4: 3, 64: 48} {
		q := New(most)
		for n := range share {
			if err := q.Take("leaky"); err != nil {
				t.Fatalf("%d of %d: %v", n+1, most, err)
			}
		}
		var enough Enough
		if err := q.Take("leaky"); share < most && (!errors.As(err, &enough) || enough.Has != share) {
			t.Fatalf("%d of %d: %v", share+1, most, err)
		}
		for n := range most - share {
			if err := q.Take("careful"); err != nil {
				t.Errorf("another one's, %d of %d: %v", n+1, most-share, err)
			}
		}
		if err := q.Take("late"); !errors.Is(err, ErrFull) || q.Taken() != most {
			t.Errorf("%d are taken of %d: %v", q.Taken(), most, err)
		}
		q.GiveBack("leaky")
		if err := q.Take("leaky"); err != nil {
			t.Errorf("after one was given back: %v", err)
		}
	}
}

func TestWhereNobodyLogsInAllAreForWhoeverComes(t *testing.T) {
	q := New(8)
	for range 8 {
		if err := q.Take(""); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.Take(""); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
}

func TestWhoHasNoneLeftIsForgotten(t *testing.T) {
	q := New(8)
	if err := q.Take("once"); err != nil {
		t.Fatal(err)
	}
	q.GiveBack("once")
	if len(q.by) > 0 || q.Taken() != 0 {
		t.Errorf("%v, %d", q.by, q.Taken())
	}
}
