// SPDX-License-Identifier: Apache-2.0

package track

import (
	"cmp"
	"slices"
)

// pair is a face and a box that may be the same.
type pair struct {
	face, box int // indices; that of the box into the order of boxes by what they are
	overlap   float64
}

// assignment orders pairs; of two that share a face or a box the earlier one is taken.
type assignment func(pairs []pair) []pair

// bestFirst takes the pair that overlaps most, then the next that is still free; at equal overlap the older face wins.
// It needs no table of all against all, and on the scenes it mistakes no more faces than the best sum (Hungarian) does.
func bestFirst(pairs []pair) []pair {
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(b.overlap, a.overlap), cmp.Compare(a.face, b.face), cmp.Compare(a.box, b.box))
	})
	return pairs
}

// clearly is how much of a pair's overlap another one of the same face or box may have, where they must not be mistaken for each other.
const clearly = 0.7

// unrivalled are the pairs of which neither the face nor the box could as well be in another one.
func unrivalled(pairs []pair, faces, boxes int) []pair {
	ofFaces, ofBoxes := make([]rivals, faces), make([]rivals, boxes)
	for _, p := range pairs {
		ofFaces[p.face].hear(p.overlap)
		ofBoxes[p.box].hear(p.overlap)
	}
	return slices.DeleteFunc(pairs, func(p pair) bool {
		return max(ofFaces[p.face].beside(p.overlap), ofBoxes[p.box].beside(p.overlap)) > clearly*p.overlap
	})
}

// rivals are the two best overlaps of a face or a box.
type rivals struct{ best, second float64 }

func (r *rivals) hear(overlap float64) {
	r.second = max(r.second, min(r.best, overlap))
	r.best = max(r.best, overlap)
}

// beside is the best overlap but for one of them.
func (r rivals) beside(overlap float64) float64 {
	if overlap < r.best {
		return r.best
	}
	return r.second
}
