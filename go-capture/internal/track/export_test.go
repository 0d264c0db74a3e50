// SPDX-License-Identifier: Apache-2.0

package track

// NewHungarian makes a tracker that assigns by the best sum, to measure against.
func NewHungarian(s Settings) *Tracker {
	t := New(s)
	t.assign = hungarian
	return t
}
