// SPDX-License-Identifier: Apache-2.0

package zone

import "time"

// Delays are how long somebody must be there before a place counts as occupied, and how long nobody before it is empty.
type Delays struct{ On, Off time.Duration }

// Occupancy is the debounced answer to "is somebody there". The zero value is an empty place without delays.
type Occupancy struct {
	delays  Delays
	on      bool
	waiting bool  // the faces say otherwise than the answer,
	sinceNs int64 // since then
}

// NewOccupancy starts empty.
func NewOccupancy(d Delays) *Occupancy { return &Occupancy{delays: d} }

// Update takes the number of faces at nowNs, from a frame or a tick, and returns whether the place is occupied. The caller sees to it
// that nowNs never runs backwards.
func (o *Occupancy) Update(faces int, nowNs int64) bool {
	if (faces > 0) == o.on {
		o.waiting = false
		return o.on
	}
	if !o.waiting {
		o.waiting, o.sinceNs = true, nowNs
	}
	delay := o.delays.On
	if o.on {
		delay = o.delays.Off
	}
	if nowNs-o.sinceNs >= delay.Nanoseconds() {
		o.on, o.waiting = !o.on, false
	}
	return o.on
}

// On is the last answer.
func (o *Occupancy) On() bool { return o.on }
