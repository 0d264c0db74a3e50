// SPDX-License-Identifier: Apache-2.0

package zone

import "math"

// Line counts who goes over it. Seen from `From` towards `To` on the picture, from left to right is in, the other way out.
type Line struct {
	Name     string
	From, To Point
}

// LineOf makes a line of pairs x, y.
func LineOf(name string, from, to [2]float64) Line {
	return Line{Name: name, From: Point{from[0], from[1]}, To: Point{to[0], to[1]}}
}

// Direction is which way a line was crossed.
type Direction string

// The two ways over a line.
const (
	In  Direction = "in"
	Out Direction = "out"
)

// shortest is the length of a line that nobody can miss by rounding; as a part of the picture.
const shortest = 1e-3

// Flaw says in words why nobody can cross such a line; "" when it is sound.
func (l Line) Flaw() string {
	if math.Hypot(l.To.X-l.From.X, l.To.Y-l.From.Y) < shortest {
		return "it begins and ends at the same place"
	}
	return ""
}

// clearance is how far the middle of a face must be from the line, in sizes of the face, to be on one side for sure.
// Without it a face that stands on the line would cross it with each shake of its box.
const clearance = 0.25

// crossing follows one face at one line.
type crossing struct {
	known bool
	last  Point // where it last was clear of the line
}

// step takes where a face is now and tells whether it went over the line since it was last clear of it, however far apart
// the two places are: a face that is seen once on each side has crossed.
func (c *crossing) step(l Line, p picture, at Point, sizePixels float64) (Direction, bool) {
	from, to := p.pixels(l.From), p.pixels(l.To)
	now := p.pixels(at)
	away := turn(from, to, now) / math.Hypot(to.X-from.X, to.Y-from.Y)
	if math.Abs(away) < clearance*sizePixels {
		return "", false
	}
	before := *c
	c.known, c.last = true, at
	if !before.known || (turn(from, to, p.pixels(before.last)) > 0) == (away > 0) || !meet(from, to, p.pixels(before.last), now) {
		return "", false
	}
	if away > 0 {
		return In, true
	}
	return Out, true
}

// picture is a size in pixels: lengths only mean something there, for a part of the width is not a part of the height.
type picture struct{ width, height float64 }

func (p picture) pixels(at Point) Point { return Point{at.X * p.width, at.Y * p.height} }
