// SPDX-License-Identifier: Apache-2.0

package track

import (
	"cmp"
	"math/bits"
	"slices"
	"time"
)

const (
	// A face missing from this many frame times in a row is not lost yet, however slow the inference is.
	leastMissedFrames = 3
	// As so many intervals a gap between two frames counts at most, when the usual interval is measured.
	mostIntervals = 4
	// boxesMost bounds the work of one frame: of more boxes the surest are looked at. A broken worker may send a thousand,
	// at new places each time.
	boxesMost = 256
	// spareFrames are how many of the frames looked back on may miss a face that is not confirmed yet.
	spareFrames = 2

	// A face and a box are compared after both were grown, more where it is less known where the face should be by now: so
	// a fast face, a new one and one that was hidden for a while still meet their boxes at five frames a second.
	sureGrown, unsureGrown     = 0.2, 0    // sizes; an unsure box is false more often, so it must lie closer
	sureOverlap, unsureOverlap = 0.35, 0.5 // the least IoU
	doubtGrown, doubtMost      = 0.5, 1.5  // sizes for each size of doubt, and at most
)

// Tracker follows the faces of one camera. It is used by one goroutine.
type Tracker struct {
	settings   Settings
	assign     assignment
	faces      []face // the oldest first
	lastID     uint64
	lastNs     int64  // of the newest frame, 0 = none yet
	intervalNs int64  // between inferred frames, smoothed
	measured   bool   // the interval is, and not only expected
	awaitedNs  int64  // when the next frame was last awaited, see Await
	blind      bool   // it was, for longer than a face may stay unseen
	size       [2]int // of the pictures, pixels
	work       workspace
}

// face is one that is followed, confirmed or not.
type face struct {
	Track          // ID is 0 until confirmed, so the numbers have no holes and rise
	motion  motion // as of the newest frame
	history uint32 // one bit a frame, the newest lowest: seen or not
	taken   bool   // by a box of this frame
}

// workspace is memory that is used again for each frame.
type workspace struct {
	order  []int // of the boxes that can be worked with, by what they are
	taken  []bool
	pairs  []pair
	ids    []uint64
	tracks []Track
}

// New starts with no faces; the first confirmed one gets number 1.
func New(s Settings) *Tracker {
	s.Hits = min(max(s.Hits, 1), MostHits)
	return &Tracker{settings: s, assign: bestFirst, intervalNs: s.Interval.Nanoseconds()}
}

// GoOn lets numbers go on where another tracker of the camera stopped.
func (t *Tracker) GoOn(from *Tracker) { t.lastID = max(t.lastID, from.lastID) }

// Require sets the least score of a box that begins a track. Tracks that began with less go on.
func (t *Tracker) Require(score float32) { t.settings.Score = score }

// Fit says how large pictures are from now on. Faces go on where they are in the picture; after one was turned, as by the hand that holds
// a phone, nobody knows where that is, and they are lost.
func (t *Tracker) Fit(width, height int) {
	before := t.size
	t.size = [2]int{width, height}
	if before == t.size || before == [2]int{} {
		return
	}
	if (width > height) != (before[0] > before[1]) {
		t.faces = t.faces[:0]
	}
	wider, higher := float64(width)/float64(before[0]), float64(height)/float64(before[1])
	for i := range t.faces {
		t.faces[i].scale(wider, higher)
	}
}

func (f *face) scale(wider, higher float64) {
	f.motion.scale(wider, higher)
	f.Box, f.Best = f.Box.scaled(wider, higher), f.Best.scaled(wider, higher)
	for i := range f.Before {
		f.Before[i].Box = f.Before[i].Box.scaled(wider, higher)
	}
}

// Update takes the boxes of one inferred frame and returns a track number for each of them, 0 while unconfirmed. Boxes that
// are empty or not finite are ignored. The answer is valid until the next call.
func (t *Tracker) Update(boxes []Box, nowNs int64) []uint64 {
	t.begin(boxes, nowNs)
	confirmed := func(f *face) bool { return f.ID != 0 }
	unconfirmed := func(f *face) bool { return f.ID == 0 }
	t.match(boxes, t.sure, confirmed, sureGrown, sureOverlap)
	if !t.blind {
		t.match(boxes, t.unsure, confirmed, unsureGrown, unsureOverlap)
		t.match(boxes, t.sure, unconfirmed, sureGrown, sureOverlap)
	}
	for _, i := range t.work.order {
		if !t.work.taken[i] && t.sure(boxes[i]) {
			t.follow(boxes[i], i)
		}
	}
	t.Advance(t.lastNs)
	return t.work.ids
}

// begin lets time pass up to this frame and prepares the workspace.
func (t *Tracker) begin(boxes []Box, nowNs int64) {
	nowNs = max(nowNs, t.lastNs)
	seconds := float64(nowNs-t.lastNs) / 1e9
	t.pass(nowNs)
	for i := range t.faces {
		f := &t.faces[i]
		f.motion.wait(seconds)
		f.history = f.history << 1 & (1<<(t.settings.Hits+spareFrames) - 1)
		f.taken = false
		if f.ID != 0 {
			f.Before = nil // whoever asked for the tracks has heard of it
		}
	}
	// One that can no longer reach the hits with what it has would only cost time; false alarms come by the hundred.
	t.faces = slices.DeleteFunc(t.faces, func(f face) bool { return f.ID == 0 && f.history == 0 })
	w := &t.work
	w.ids, w.taken = resized(w.ids, len(boxes)), resized(w.taken, len(boxes))
	w.order = ordered(w.order[:0], boxes)
}

// pass lets time pass up to a frame, whose time is the newest from then on. While the frame was awaited, nobody was looked for: whom the
// last one showed is not lost before it was looked at.
func (t *Tracker) pass(nowNs int64) {
	lostNs := t.lastNs + t.patienceNs()
	t.blind = nowNs > lostNs && nowNs-t.awaitedNs <= t.patienceNs()
	if !t.blind {
		lostNs = nowNs
	}
	t.measureInterval(nowNs)
	t.Advance(lostNs)
}

// ordered appends the indices of the boxes that can be worked with, in an order that depends on nothing but the boxes.
func ordered(order []int, boxes []Box) []int {
	for i, b := range boxes {
		if b.possible() {
			order = append(order, i)
		}
	}
	if len(order) > boxesMost {
		slices.SortFunc(order, func(i, j int) int {
			return cmp.Or(cmp.Compare(boxes[j].Score, boxes[i].Score), boxes[i].compare(boxes[j]))
		})
		order = order[:boxesMost]
	}
	slices.SortFunc(order, func(i, j int) int { return boxes[i].compare(boxes[j]) })
	return order
}

// resized returns n zeros, in the same memory if it is large enough.
func resized[T any](old []T, n int) []T {
	made := slices.Grow(old[:0], n)[:n]
	clear(made)
	return made
}

func (t *Tracker) sure(b Box) bool   { return b.Score >= t.settings.Score }
func (t *Tracker) unsure(b Box) bool { return b.Score < t.settings.Score }

// match gives boxes of one kind that are free to faces of one kind that are free.
func (t *Tracker) match(boxes []Box, wanted func(Box) bool, candidate func(*face) bool, grown, least float64) {
	pairs := t.work.pairs[:0]
	for i := range t.faces {
		f := &t.faces[i]
		if f.taken || !candidate(f) {
			continue
		}
		grown := grown + min(doubtGrown*f.motion.doubt(), doubtMost)
		expected := f.motion.rectangle().grown(grown)
		for rank, b := range t.work.order {
			if t.work.taken[b] || !wanted(boxes[b]) {
				continue
			}
			if overlap := expected.iou(boxes[b].rectangle().grown(grown)); overlap >= least {
				pairs = append(pairs, pair{i, rank, overlap})
			}
		}
	}
	t.work.pairs = pairs
	if t.blind {
		pairs = unrivalled(pairs, len(t.faces), len(t.work.order))
	}
	for _, p := range t.assign(pairs) {
		f, b := &t.faces[p.face], t.work.order[p.box]
		if !f.taken && !t.work.taken[b] {
			t.see(f, boxes[b], b)
		}
	}
}

// see gives one box to a face.
func (t *Tracker) see(f *face, b Box, index int) {
	f.motion.see(b)
	if f.ID == 0 && f.SeenNs != 0 {
		f.remember(t.settings.Hits + spareFrames)
	}
	f.Box, f.SeenNs = b, t.lastNs
	if b.Score > f.Best.Score {
		f.Best = b
	}
	f.history |= 1
	f.taken, t.work.taken[index] = true, true
	t.confirm(f)
	t.work.ids[index] = f.ID
}

// remember keeps where a face was seen that is not confirmed yet, the newest places. One glimpse and, frames later, somebody else a step
// aside are one face to the tracker: what lies behind two missed frames is no way that anybody went.
func (f *face) remember(most int) {
	const lastTwoFrames = 0b110
	if f.history&lastTwoFrames == 0 {
		f.Before = f.Before[:0]
		return
	}
	if len(f.Before) >= most {
		f.Before = slices.Delete(f.Before, 0, 1)
	}
	f.Before = append(f.Before, Sight{f.Box, f.SeenNs})
}

func (t *Tracker) confirm(f *face) {
	if f.ID == 0 && bits.OnesCount32(f.history) >= t.settings.Hits {
		t.lastID++
		f.ID = t.lastID
	}
}

// follow begins a face.
func (t *Tracker) follow(b Box, index int) {
	t.faces = append(t.faces, face{Track: Track{Best: b, FirstNs: t.lastNs}, motion: startMotion(b)})
	t.see(&t.faces[len(t.faces)-1], b, index)
}

// Advance lets time pass without a frame: faces not seen for long enough are lost.
func (t *Tracker) Advance(nowNs int64) {
	oldestNs := nowNs - t.patienceNs()
	t.faces = slices.DeleteFunc(t.faces, func(f face) bool { return f.SeenNs < oldestNs })
}

// Await is how far to Advance by nowNs where a worker has a frame, or is to get it, and may take so long to tell who is there: nobody is
// lost whom the newest frame showed, unless the worker has had its time. Where none is awaited, that is nowNs.
func (t *Tracker) Await(nowNs int64, most time.Duration) int64 {
	if most > 0 {
		t.awaitedNs = max(t.awaitedNs, nowNs)
	}
	return min(nowNs, max(t.lastNs+t.patienceNs(), nowNs-most.Nanoseconds()))
}

// patienceNs is how long a face may stay unseen: longer than the settings say where frames are rare.
func (t *Tracker) patienceNs() int64 {
	return max(t.settings.LostAfter.Nanoseconds(), leastMissedFrames*t.intervalNs)
}

// Overdue tells whether no frame has come for as long as a face may stay unseen: that nobody is followed then does not mean that nobody
// is there.
func (t *Tracker) Overdue(nowNs int64) bool { return t.lastNs < nowNs-t.patienceNs() }

// Confirmed is the number of faces that are believed to be there.
func (t *Tracker) Confirmed() int {
	count := 0
	for i := range t.faces {
		if t.faces[i].ID != 0 {
			count++
		}
	}
	return count
}

// Tracks are the confirmed faces, the oldest first, valid until the next call.
func (t *Tracker) Tracks() []Track {
	t.work.tracks = t.work.tracks[:0]
	for i := range t.faces {
		if t.faces[i].ID != 0 {
			t.work.tracks = append(t.work.tracks, t.faces[i].Track)
		}
	}
	return t.work.tracks
}

// measureInterval smooths over about eight frames. A gap counts as at most a few intervals: a camera that becomes slow is
// learned within some frames, and one that was away for a night keeps no lost face alive.
func (t *Tracker) measureInterval(nowNs int64) {
	gapNs := min(nowNs-t.lastNs, max(t.settings.LostAfter.Nanoseconds(), mostIntervals*t.intervalNs))
	switch {
	case t.lastNs == 0:
	case !t.measured:
		t.intervalNs, t.measured = max(t.intervalNs, gapNs), true
	default:
		t.intervalNs += (gapNs - t.intervalNs) / 8
	}
	t.lastNs = nowNs
}
