// SPDX-License-Identifier: Apache-2.0

package v4l2

import "time"

// plausibleAgeNs bounds how old a picture may be by its driver's clock: beyond it the clock is not the one it claims, or the picture has
// waited while we were frozen.
const plausibleAgeNs = int64(5 * time.Second)

// driversClock is believed from the first plausible time on.
type driversClock struct{ believed bool }

// takenNs is the driver's time if it is one of CLOCK_MONOTONIC, else now.
func (c *driversClock) takenNs(b *buffer, nowNs int64) int64 {
	if !isSteady(b, nowNs) || !c.believed && !isPlausible(b, nowNs) {
		return nowNs
	}
	c.believed = true
	return b.timestamp.Nano()
}

// isOld says of a picture that it is none of now. Where its clock was right before, it is right about that too.
func (c *driversClock) isOld(b *buffer, nowNs int64) bool {
	return c.believed && isSteady(b, nowNs) && !isPlausible(b, nowNs)
}

func isSteady(b *buffer, nowNs int64) bool {
	return b.flags&timestampMask == timestampSteady && b.timestamp.Nano() <= nowNs
}

func isPlausible(b *buffer, nowNs int64) bool { return nowNs-b.timestamp.Nano() <= plausibleAgeNs }
