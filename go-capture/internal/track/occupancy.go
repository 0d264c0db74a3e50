// SPDX-License-Identifier: Apache-2.0

package track

import "time"

// OffDelay is how long nobody must be confirmed before a place counts as empty.
const OffDelay = 2 * time.Second

// Occupancy is the debounced answer to "is somebody there": at once yes, but no only after a while. The zero value is an
// empty place with an off delay of 0; call NewOccupancy.
type Occupancy struct {
	offDelayNs int64
	lastNs     int64 // when somebody was last confirmed
	on         bool
}

// NewOccupancy starts empty.
func NewOccupancy(offDelay time.Duration) *Occupancy {
	return &Occupancy{offDelayNs: offDelay.Nanoseconds()}
}

// Update takes the number of confirmed faces at nowNs, from a frame or a tick, and returns whether the place is occupied.
func (o *Occupancy) Update(confirmed int, nowNs int64) bool {
	switch {
	case confirmed > 0:
		o.on, o.lastNs = true, max(o.lastNs, nowNs)
	case nowNs-o.lastNs >= o.offDelayNs:
		o.on = false
	}
	return o.on
}

// On is the last answer.
func (o *Occupancy) On() bool { return o.on }
