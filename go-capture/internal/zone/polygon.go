// SPDX-License-Identifier: Apache-2.0

package zone

import (
	"fmt"
	"iter"
	"math"
)

// Point is a place in the picture: 0..1 from the left and from the top.
type Point struct{ X, Y float64 }

// Polygon is a part of the picture by its corners; the last is joined to the first.
type Polygon []Point

// PolygonOf makes a polygon of pairs x, y.
func PolygonOf(corners [][2]float64) Polygon {
	made := make(Polygon, len(corners))
	for i, c := range corners {
		made[i] = Point{c[0], c[1]}
	}
	return made
}

const (
	cornersLeast = 3
	areaLeast    = 1e-5 // of the picture: about three by three pixels of a 1280x720 one
	touching     = 1e-9 // a place so near an edge lies on it; far below a pixel, far above rounding
)

// Flaw says in words why nobody can be in such a polygon; "" when it is sound.
func (p Polygon) Flaw() string {
	if len(p) < cornersLeast {
		return fmt.Sprintf("a polygon has at least %d corners, this has %d", cornersLeast, len(p))
	}
	for i, j := range pairs(len(p)) {
		if p[i] == p[j] {
			return fmt.Sprintf("corner %d is at the same place as corner %d", j+1, i+1)
		}
	}
	for i, j := range pairs(len(p)) {
		if p.edgesMeet(i, j) {
			return fmt.Sprintf("it crosses itself: the edge after corner %d meets the edge after corner %d", i+1, j+1)
		}
	}
	if p.area() < areaLeast {
		return "it is too small for any face to be in it"
	}
	return ""
}

// pairs yields all i < j below n.
func pairs(n int) iter.Seq2[int, int] {
	return func(yield func(int, int) bool) {
		for j := range n {
			for i := range j {
				if !yield(i, j) {
					return
				}
			}
		}
	}
}

// edge is the one after corner i.
func (p Polygon) edge(i int) (from, to Point) { return p[i], p[(i+1)%len(p)] }

// edgesMeet tells whether the edges after corners i < j share more than the corner between neighbours.
func (p Polygon) edgesMeet(i, j int) bool {
	a, b := p.edge(i)
	c, d := p.edge(j)
	switch {
	case b == c: // j follows i
		return near(d, a, b) || near(a, c, d)
	case d == a: // i follows j
		return near(b, c, d) || near(c, a, b)
	}
	return meet(a, b, c, d)
}

func (p Polygon) area() float64 {
	twice := 0.0
	for i := range p {
		a, b := p.edge(i)
		twice += a.X*b.Y - b.X*a.Y
	}
	return math.Abs(twice) / 2
}

// Contains tells whether a place is inside; the border belongs to it.
func (p Polygon) Contains(at Point) bool {
	inside := false
	for i := range p {
		a, b := p.edge(i)
		if near(at, a, b) {
			return true
		}
		if (a.Y > at.Y) != (b.Y > at.Y) && at.X < a.X+(at.Y-a.Y)/(b.Y-a.Y)*(b.X-a.X) {
			inside = !inside
		}
	}
	return inside
}

// turn is positive when c lies to the right of somebody who goes from a to b on the picture, negative to the left.
func turn(a, b, c Point) float64 { return (b.X-a.X)*(c.Y-a.Y) - (b.Y-a.Y)*(c.X-a.X) }

// near tells whether a place lies on the piece from a to b.
func near(at, a, b Point) bool {
	length := math.Hypot(b.X-a.X, b.Y-a.Y)
	if length == 0 {
		return math.Hypot(at.X-a.X, at.Y-a.Y) <= touching
	}
	along := ((at.X-a.X)*(b.X-a.X) + (at.Y-a.Y)*(b.Y-a.Y)) / length
	return along >= -touching && along <= length+touching && math.Abs(turn(a, b, at)) <= touching*length
}

// meet tells whether the pieces a-b and c-d have a place in common.
func meet(a, b, c, d Point) bool {
	if turn(a, b, c)*turn(a, b, d) < 0 && turn(c, d, a)*turn(c, d, b) < 0 {
		return true
	}
	return near(c, a, b) || near(d, a, b) || near(a, c, d) || near(b, c, d)
}
