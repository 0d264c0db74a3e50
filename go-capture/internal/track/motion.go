// SPDX-License-Identifier: Apache-2.0

package track

import "math"

// How a face is believed to move. Lengths are in sizes of the face, so that near and far faces behave alike; the values
// were chosen on the scripted scenes, see docs/design/tracking.md.
const (
	measured = 0.1  // standard deviation of a detected edge
	jolt     = 5.0  // how much the speed may change, sizes/s per root of a second
	growth   = 0.25 // how much the size may change, sizes per root of a second
	started  = 6.0  // standard deviation of the speed of a new face, sizes/s
)

// motion is a Kalman filter of constant speed for the centre and of constant value for the size. ByteTrack's one filter of
// eight states has no terms between the axes either, so four small ones are the same arithmetic.
type motion struct {
	x, y moving
	w, h steady
}

func startMotion(b Box) motion {
	size := float64(max(b.W, b.H))
	spread, speed := square(measured*size), square(started*size)
	centreX, centreY := b.centre()
	return motion{
		x: moving{at: centreX, atVar: spread, speedVar: speed}, y: moving{at: centreY, atVar: spread, speedVar: speed},
		w: steady{at: float64(b.W), atVar: spread}, h: steady{at: float64(b.H), atVar: spread},
	}
}

// wait moves the face on by a time in seconds.
func (m *motion) wait(seconds float64) {
	size := square(max(m.w.at, m.h.at))
	m.x.wait(seconds, square(jolt)*size)
	m.y.wait(seconds, square(jolt)*size)
	m.w.atVar += square(growth) * size * seconds
	m.h.atVar += square(growth) * size * seconds
}

// scale follows pictures of another size.
func (m *motion) scale(wider, higher float64) {
	m.x.scale(wider)
	m.w.scale(wider)
	m.y.scale(higher)
	m.h.scale(higher)
}

// see corrects the belief by a detected box.
func (m *motion) see(b Box) {
	variance := square(measured * float64(max(b.W, b.H)))
	centreX, centreY := b.centre()
	m.x.see(centreX, variance)
	m.y.see(centreY, variance)
	m.w.see(float64(b.W), variance)
	m.h.see(float64(b.H), variance)
}

// rectangle is where the face should be, by its edges.
func (m *motion) rectangle() rectangle {
	return rectangle{m.x.at - m.w.at/2, m.y.at - m.h.at/2, m.x.at + m.w.at/2, m.y.at + m.h.at/2}
}

// doubt is the standard deviation of where the face should be, in its sizes.
func (m *motion) doubt() float64 {
	return math.Sqrt(max(m.x.atVar, m.y.atVar)) / max(m.w.at, m.h.at)
}

// moving is a place with a speed: two states and their covariance.
type moving struct{ at, speed, atVar, both, speedVar float64 }

// wait lets seconds pass while the speed changes by chance, with `noise` as its variance a second.
func (m *moving) wait(seconds, noise float64) {
	m.at += m.speed * seconds
	m.atVar += seconds * (2*m.both + seconds*(m.speedVar+noise*seconds/3))
	m.both += seconds * (m.speedVar + noise*seconds/2)
	m.speedVar += noise * seconds
}

func (m *moving) scale(by float64) {
	m.at, m.speed = m.at*by, m.speed*by
	m.atVar, m.both, m.speedVar = m.atVar*square(by), m.both*square(by), m.speedVar*square(by)
}

func (m *moving) see(at, variance float64) {
	gain, speedGain := m.atVar/(m.atVar+variance), m.both/(m.atVar+variance)
	missed := at - m.at
	m.at += gain * missed
	m.speed += speedGain * missed
	m.speedVar -= speedGain * m.both
	m.both *= 1 - gain
	m.atVar *= 1 - gain
}

// steady is a value that only drifts.
type steady struct{ at, atVar float64 }

func (s *steady) scale(by float64) { s.at, s.atVar = s.at*by, s.atVar*square(by) }

func (s *steady) see(at, variance float64) {
	gain := s.atVar / (s.atVar + variance)
	s.at += gain * (at - s.at)
	s.atVar *= 1 - gain
}

func square(v float64) float64 { return v * v }
