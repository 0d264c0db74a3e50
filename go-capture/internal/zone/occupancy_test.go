// SPDX-License-Identifier: Apache-2.0

package zone

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

const secondNs = int64(time.Second)

func TestAPlaceIsOccupiedAtOnceAndEmptyAfterTheDelay(t *testing.T) {
	o := NewOccupancy(Delays{Off: 2 * time.Second})
	if !o.Update(1, 10*secondNs) {
		t.Fatal("not occupied at once")
	}
	for _, ns := range []int64{11 * secondNs, 13*secondNs - 1} {
		if !o.Update(0, ns) {
			t.Fatalf("empty at %d", ns)
		}
	}
	if o.Update(0, 13*secondNs) || o.On() {
		t.Fatal("still occupied 2 s after nobody was there")
	}
}

func TestAPassingFaceDoesNotOccupyAPlaceWithAnOnDelay(t *testing.T) {
	o := NewOccupancy(Delays{On: 3 * time.Second})
	for _, step := range []struct {
		at    int64
		faces int
		want  bool
	}{{10, 1, false}, {12, 1, false}, {12, 0, false}, {14, 1, false}, {16, 1, false}, {17, 1, true}, {18, 0, false}} {
		if got := o.Update(step.faces, step.at*secondNs); got != step.want {
			t.Errorf("at %d s: %v, want %v", step.at, got, step.want)
		}
	}
}

func TestTheAnswerOnlyChangesAfterItsDelayOfTheContrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		delay := rapid.Int64Range(0, 5*secondNs)
		on, off := delay.Draw(t, "on"), delay.Draw(t, "off")
		o := NewOccupancy(Delays{On: time.Duration(on), Off: time.Duration(off)})
		nowNs, sinceNs, there, before := int64(1e12), int64(1e12), false, false
		for range 50 {
			nowNs += rapid.Int64Range(0, 2*secondNs).Draw(t, "step")
			faces := rapid.IntRange(0, 2).Draw(t, "faces")
			if (faces > 0) != there {
				there, sinceNs = faces > 0, nowNs
			}
			answer := o.Update(faces, nowNs)
			wait := off
			if there {
				wait = on
			}
			want := before
			if there != before && nowNs-sinceNs >= wait {
				want = there
			}
			if answer != want {
				t.Fatalf("answer %v after %v, there %v for %d ns of %d", answer, before, there, nowNs-sinceNs, wait)
			}
			before = answer
		}
	})
}
