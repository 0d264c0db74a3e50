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
