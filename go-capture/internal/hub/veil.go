// SPDX-License-Identifier: Apache-2.0

package hub

import "visavis/capture/internal/track"

// veil decides which faces that are not told are hidden from viewers all the same. It follows faces by itself, for what a camera's
// settings ignore and what an order leaves out is no less to be hidden when it turns away.
type veil struct {
	least   float32 // of a face that is hidden, and followed from then on
	tracker *track.Tracker
	boxes   []track.Box
}

// newVeil follows a face from its first frame on: how often one must be seen before it is told is no matter of hiding it.
func newVeil(w Watch) *veil {
	settings := w.Tracker
	settings.Score, settings.Hits = w.Hides, 1
	return &veil{least: w.Hides, tracker: track.New(settings)}
}

// over are the faces of a frame that score less than what is told and are hidden: those that a viewer may take for one, and those that
// continue a track, for who was seen a moment ago is still there.
func (v *veil) over(faces []Face, told float64, a *arrival) (unsure []Face) {
	v.tracker.Fit(a.letterbox.SourceWidth, a.letterbox.SourceHeight)
	v.tracker.Require(min(v.least, float32(told))) // an order may tell of faces that the settings do not even hide
	v.boxes = v.boxes[:0]
	for _, one := range faces {
		v.boxes = append(v.boxes, one.tracked())
	}
	for i, id := range v.tracker.Update(v.boxes, a.capturedNs) {
		one := faces[i]
		if one.Score < float32(told) && (one.Score >= v.least || one.Track != 0 || id != 0) {
			unsure = append(unsure, one)
		}
	}
	return unsure
}
