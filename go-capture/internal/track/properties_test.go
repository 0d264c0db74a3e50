// SPDX-License-Identifier: Apache-2.0

package track

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// aBox is where faces are.
func aBox(t *rapid.T) Box {
	return Box{
		X: rapid.Float32Range(-50, 1280).Draw(t, "x"), Y: rapid.Float32Range(-50, 720).Draw(t, "y"),
		W: rapid.Float32Range(4, 300).Draw(t, "w"), H: rapid.Float32Range(4, 300).Draw(t, "h"),
		Score: rapid.Float32Range(0, 1).Draw(t, "score"),
	}
}

// hostile is what a broken model may send.
func hostile(t *rapid.T) Box {
	side := rapid.OneOf(rapid.Float32(), rapid.SampledFrom([]float32{
		0, -1, 1, float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1)), math.MaxFloat32, math.SmallestNonzeroFloat32, pixelsMost,
	}))
	return Box{side.Draw(t, "x"), side.Draw(t, "y"), side.Draw(t, "w"), side.Draw(t, "h"), side.Draw(t, "score")}
}

func frames(box func(*rapid.T) Box) *rapid.Generator[[][]Box] {
	return rapid.SliceOfN(rapid.SliceOfN(rapid.Custom(box), 0, 6), 1, 40)
}

func TestNumbersAreUniqueInAFrameRiseAndAreNeverUsedAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tracker, ended, nowNs := New(Defaults()), map[uint64]bool{}, int64(1e12)
		known, highest := map[uint64]bool{}, uint64(0)
		for _, boxes := range frames(aBox).Draw(t, "frames") {
			nowNs += rapid.Int64Range(0, 2e9).Draw(t, "step")
			given := slices.Clone(tracker.Update(boxes, nowNs))
			now := map[uint64]bool{}
			for _, id := range given {
				if id != 0 && now[id] {
					t.Fatalf("number %d twice in one frame", id)
				}
				now[id] = id != 0
			}
			alive := map[uint64]bool{}
			for _, track := range tracker.Tracks() {
				alive[track.ID] = true
				if ended[track.ID] {
					t.Fatalf("number %d came back", track.ID)
				}
				if !known[track.ID] && track.ID <= highest {
					t.Fatalf("new number %d after %d", track.ID, highest)
				}
				known[track.ID], highest = true, max(highest, track.ID)
			}
			for id := range known {
				ended[id] = !alive[id]
			}
		}
	})
}

func TestTheOrderOfTheBoxesChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, other, nowNs := New(Defaults()), New(Defaults()), int64(1e12)
		still := rapid.SliceOfN(rapid.Custom(aBox), 0, 6).Draw(t, "still")
		for _, passing := range frames(aBox).Draw(t, "frames") {
			nowNs += frameNs
			boxes := slices.Concat(still, passing[:min(len(passing), 2)])
			order := rapid.Permutation(indices(len(boxes))).Draw(t, "order")
			shuffled := make([]Box, len(boxes))
			for i, from := range order {
				shuffled[i] = boxes[from]
			}
			first, second := one.Update(boxes, nowNs), other.Update(shuffled, nowNs)
			for i, from := range order {
				if first[from] != second[i] && !twice(boxes, boxes[from]) {
					t.Fatalf("box %v is number %d in one order and %d in another", boxes[from], first[from], second[i])
				}
			}
		}
	})
}

func indices(n int) []int {
	made := make([]int, n)
	for i := range made {
		made[i] = i
	}
	return made
}

func twice(boxes []Box, box Box) bool {
	return slices.Index(boxes, box) != len(boxes)-1-slices.Index(reversed(boxes), box)
}

func reversed(boxes []Box) []Box {
	made := slices.Clone(boxes)
	slices.Reverse(made)
	return made
}

func TestTheSameFramesAlwaysGiveTheSameNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one, other, nowNs := New(Defaults()), New(Defaults()), int64(1e12)
		for _, boxes := range frames(aBox).Draw(t, "frames") {
			nowNs += rapid.Int64Range(0, 1e9).Draw(t, "step")
			if !slices.Equal(one.Update(boxes, nowNs), other.Update(boxes, nowNs)) {
				t.Fatal("two trackers disagree")
			}
		}
	})
}

func TestAStillFaceKeepsItsNumberWhateverElseGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tracker, nowNs := New(Defaults()), int64(1e12)
		face := Box{X: 2000, Y: 2000, W: 80, H: 100, Score: 0.9} // beyond where the others are
		for n, others := range frames(aBox).Draw(t, "frames") {
			nowNs += rapid.Int64Range(1e6, 9e8).Draw(t, "step")
			id := tracker.Update(append([]Box{face}, others...), nowNs)[0]
			if n >= 2 && id == 0 || n > 2 && tracker.Tracks()[0].FirstNs > nowNs {
				t.Fatalf("not followed at frame %d", n)
			}
			if n >= 2 && !slices.ContainsFunc(tracker.Tracks(), func(k Track) bool { return k.ID == id && k.FirstNs < nowNs && k.Box == face }) {
				t.Fatalf("number %d is not the still face", id)
			}
		}
	})
}

func TestDroppedAndLateFramesDoNotEndATrack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tracker, nowNs := New(Defaults()), int64(1e12)
		speed := rapid.Float64Range(-150, 150).Draw(t, "pixels a second")
		for n := range 60 {
			nowNs += rapid.SampledFrom([]int64{frameNs / 2, frameNs, 2 * frameNs, 5 * frameNs}).Draw(t, "step")
			face := Box{X: 600 + float32(speed*float64(nowNs-1e12)/1e9), Y: 300, W: 80, H: 100, Score: 0.9}
			if id := tracker.Update([]Box{face}, nowNs)[0]; n >= 2 && id != 1 {
				t.Fatalf("number %d at frame %d", id, n)
			}
		}
	})
}

func TestHostileBoxesLeaveEveryNumberFinite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tracker, nowNs := New(Defaults()), int64(1e12)
		for _, boxes := range frames(hostile).Draw(t, "frames") {
			nowNs += rapid.Int64Range(-1e9, 1e12).Draw(t, "step")
			ids := tracker.Update(boxes, nowNs)
			for i, b := range boxes {
				if !b.possible() && ids[i] != 0 {
					t.Fatalf("%v is followed", b)
				}
			}
			for _, f := range tracker.faces {
				if f.motion.x.atVar < 0 || f.motion.x.speedVar < 0 || f.motion.w.atVar < 0 {
					t.Fatalf("less than no doubt: %+v", f.motion)
				}
				for _, v := range []float64{f.motion.x.at, f.motion.x.speed, f.motion.x.speedVar, f.motion.y.at, f.motion.w.at, f.motion.h.at} {
					if math.IsNaN(v) || math.IsInf(v, 0) {
						t.Fatalf("%+v after %v", f.motion, boxes)
					}
				}
			}
		}
	})
}
