// SPDX-License-Identifier: Apache-2.0

package zone

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var square = Polygon{{0.2, 0.2}, {0.8, 0.2}, {0.8, 0.8}, {0.2, 0.8}}

func TestTheMiddleIsInsideAndFarAwayIsNot(t *testing.T) {
	if !square.Contains(Point{0.5, 0.5}) || square.Contains(Point{0.1, 0.5}) || square.Contains(Point{0.5, 0.9}) {
		t.Error("a square does not know its inside")
	}
	cup := Polygon{{0, 0}, {0.2, 0}, {0.2, 0.8}, {0.8, 0.8}, {0.8, 0}, {1, 0}, {1, 1}, {0, 1}}
	if cup.Contains(Point{0.5, 0.4}) || !cup.Contains(Point{0.1, 0.4}) || !cup.Contains(Point{0.5, 0.9}) {
		t.Error("a cup does not know that its hollow is outside")
	}
}

// star is a sound polygon around a middle: corners at rising angles.
func star(t *rapid.T) Polygon {
	corners := rapid.IntRange(3, 12).Draw(t, "corners")
	made := make(Polygon, corners)
	for i := range made {
		angle := 2 * math.Pi * (float64(i) + rapid.Float64Range(0, 0.8).Draw(t, "angle")) / float64(corners)
		radius := rapid.Float64Range(0.1, 0.4).Draw(t, "radius")
		made[i] = Point{0.5 + radius*math.Cos(angle), 0.5 + radius*math.Sin(angle)}
	}
	return made
}

func TestTheBorderBelongsToAPolygon(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		polygon := star(t)
		from, to := polygon.edge(rapid.IntRange(0, len(polygon)-1).Draw(t, "edge"))
		part := rapid.Float64Range(0, 1).Draw(t, "part")
		at := Point{from.X + part*(to.X-from.X), from.Y + part*(to.Y-from.Y)}
		if !polygon.Contains(at) {
			t.Fatalf("%v on the edge %v %v is outside", at, from, to)
		}
	})
}

func TestNeitherTheFirstCornerNorTheSenseChangesTheInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		polygon := star(t)
		at := Point{rapid.Float64Range(0, 1).Draw(t, "x"), rapid.Float64Range(0, 1).Draw(t, "y")}
		first := rapid.IntRange(0, len(polygon)-1).Draw(t, "first")
		turned := make(Polygon, 0, len(polygon))
		for i := range polygon {
			turned = append(turned, polygon[(first+len(polygon)-i)%len(polygon)])
		}
		if polygon.Contains(at) != turned.Contains(at) {
			t.Fatalf("%v is in %v or not, by the order of the corners", at, polygon)
		}
	})
}

func TestAStarHasNoFlawAndOneWithTwoCornersSwappedCrossesItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		corners := rapid.IntRange(4, 9).Draw(t, "corners")
		made := make(Polygon, corners)
		for i := range made {
			angle := 2 * math.Pi * float64(i) / float64(corners)
			made[i] = Point{0.5 + 0.4*math.Cos(angle), 0.5 + 0.4*math.Sin(angle)}
		}
		if flaw := made.Flaw(); flaw != "" {
			t.Fatalf("%v: %s", made, flaw)
		}
		i := rapid.IntRange(0, corners-1).Draw(t, "swapped")
		made[i], made[(i+1)%corners] = made[(i+1)%corners], made[i]
		if flaw := made.Flaw(); !strings.HasPrefix(flaw, "it crosses itself") {
			t.Fatalf("%v: %q", made, flaw)
		}
	})
}

func TestEachFlawOfAPolygonIsNamed(t *testing.T) {
	cases := map[string]Polygon{
		"at least 3 corners":                        {{0, 0}, {1, 1}},
		"corner 3 is at the same place as corner 1": {{0, 0}, {1, 0}, {0, 0}},
		"meets the edge after corner 3":             {{0, 0}, {1, 1}, {1, 0}, {0, 1}},
		"it crosses itself":                         {{0, 0}, {0.5, 0}, {1, 0}, {0.2, 0}}, // there and back
		"too small":                                 {{0.5, 0.5}, {0.501, 0.5}, {0.501, 0.501}},
	}
	for words, polygon := range cases {
		if flaw := polygon.Flaw(); !strings.Contains(flaw, words) {
			t.Errorf("%v: %q, want %q", polygon, flaw, words)
		}
	}
	if flaw := square.Flaw(); flaw != "" {
		t.Errorf("a square: %s", flaw)
	}
}
