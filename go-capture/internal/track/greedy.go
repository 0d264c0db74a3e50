// SPDX-License-Identifier: Apache-2.0

package track

import (
	"math/bits"
	"slices"
	"time"
)

const (
	historyFrames = 5   // inferred frames looked back on,
	confirmFrames = 3   // of which so many must show the face before it is believed
	leastIoU      = 0.3 // boxes that overlap less are different faces
	// A face missing from this many frame times in a row is not lost yet, however slow the inference is.
	leastMissedFrames = 3
)

// LossAfter is how long a face may stay unseen before its track ends.
const LossAfter = time.Second

// Greedy joins each track to the box that overlaps it most, best pair first. It predicts nothing: faces that move further
// than about half their size between two inferred frames get a new track.
type Greedy struct {
	tracks     []*followed
	lastID     uint64
	lastNs     int64 // of the last inferred frame, 0 = none yet
	intervalNs int64 // between inferred frames, smoothed
}

type followed struct {
	id      uint64 // 0 until confirmed, so the numbers have no holes and rise
	box     Box
	seenNs  int64
	history uint8 // one bit a frame, the newest lowest: seen or not
}

// NewGreedy starts with no faces; the first confirmed one gets number 1.
func NewGreedy() *Greedy { return &Greedy{} }

// Update implements Tracker.
func (g *Greedy) Update(boxes []Box, nowNs int64) []uint64 {
	g.measureInterval(nowNs)
	for _, t := range g.tracks {
		t.history = t.history << 1 & (1<<historyFrames - 1)
	}
	owners := g.associate(boxes)
	ids := make([]uint64, len(boxes))
	for i, box := range boxes {
		if owners[i] == nil {
			owners[i] = &followed{}
			g.tracks = append(g.tracks, owners[i])
		}
		ids[i] = g.see(owners[i], box, nowNs)
	}
	g.Advance(nowNs)
	return ids
}

// Advance implements Tracker.
func (g *Greedy) Advance(nowNs int64) {
	oldestNs := nowNs - max(LossAfter.Nanoseconds(), leastMissedFrames*g.intervalNs)
	g.tracks = slices.DeleteFunc(g.tracks, func(t *followed) bool { return t.seenNs < oldestNs })
}

// Confirmed implements Tracker.
func (g *Greedy) Confirmed() int {
	count := 0
	for _, t := range g.tracks {
		if t.id != 0 {
			count++
		}
	}
	return count
}

func (g *Greedy) see(t *followed, box Box, nowNs int64) uint64 {
	t.box, t.seenNs = box, nowNs
	t.history |= 1
	if t.id == 0 && bits.OnesCount8(t.history) >= confirmFrames {
		g.lastID++
		t.id = g.lastID
	}
	return t.id
}

// measureInterval smooths over about eight frames, so one long gap does not keep a lost face alive for long.
func (g *Greedy) measureInterval(nowNs int64) {
	switch {
	case g.lastNs == 0:
	case g.intervalNs == 0:
		g.intervalNs = min(nowNs-g.lastNs, LossAfter.Nanoseconds())
	default:
		g.intervalNs += (nowNs - g.lastNs - g.intervalNs) / 8
	}
	g.lastNs = nowNs
}

type pair struct {
	track, box int
	iou        float32
}

// associate returns the track of each box, nil for a face not seen before.
func (g *Greedy) associate(boxes []Box) []*followed {
	owners := make([]*followed, len(boxes))
	taken := make([]bool, len(g.tracks))
	for _, p := range g.pairs(boxes) {
		if !taken[p.track] && owners[p.box] == nil {
			taken[p.track], owners[p.box] = true, g.tracks[p.track]
		}
	}
	return owners
}

// pairs lists what overlaps enough, best first; at equal overlap the older track comes first.
func (g *Greedy) pairs(boxes []Box) []pair {
	var found []pair
	for t, known := range g.tracks {
		for b, box := range boxes {
			if shared := iou(known.box, box); shared >= leastIoU {
				found = append(found, pair{t, b, shared})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b pair) int {
		switch {
		case a.iou > b.iou:
			return -1
		case a.iou < b.iou:
			return 1
		}
		return 0
	})
	return found
}

func iou(a, b Box) float32 {
	w := min(a.X+a.W, b.X+b.W) - max(a.X, b.X)
	h := min(a.Y+a.H, b.Y+b.H) - max(a.Y, b.Y)
	if w <= 0 || h <= 0 {
		return 0
	}
	return w * h / (a.W*a.H + b.W*b.H - w*h)
}
