// SPDX-License-Identifier: Apache-2.0

package scene

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// usual is what a decent detector does on a decent camera; hard is a poor one in a crowd.
var (
	usual = Detector{Missed: 0.05, False: 0.05, Shake: 0.03, Jitter: 0.15, Lost: 0.05}
	hard  = Detector{Missed: 0.3, False: 0.3, Shake: 0.05, Jitter: 0.3, Lost: 0.1}
)

const seconds = 30.0

// Seed is that of the scenes whose scores are committed; the tracker's constants were chosen on others.
const Seed = 7

// rates are the inferred frames a second of all scenes.
var rates = []float64{5, 10, 15, 30}

// All makes every scene: each script with each detector at each rate. Another seed makes other scenes of the same kind.
func All(seed uint64) []Scene {
	scripts := []struct {
		name string
		made func(*rand.Rand) []person
		hide func(x, y float64) bool
	}{
		{"crossing", crossing, open}, {"occlusion", occlusion, pillar}, {"return", comingBack, open},
		{"crowd", crowd, open}, {"still", still, open},
	}
	var all []Scene
	for i, script := range scripts {
		for _, d := range []struct {
			name     string
			detector Detector
		}{{"usual", usual}, {"hard", hard}} {
			for _, fps := range rates {
				random := rand.New(rand.NewPCG(seed, uint64(i)))
				name := fmt.Sprintf("%s-%s-%g", script.name, d.name, fps)
				all = append(all, film(name, fps, seconds, script.made(random), script.hide, d.detector, random))
			}
		}
	}
	return all
}

func open(_, _ float64) bool { return false }

// pillar hides what is behind a post in the middle.
func pillar(x, _ float64) bool { return math.Abs(x-Width/2) < 45 }

// crossing: people walk to and fro in lanes at slightly different heights, so that they pass in front of each other.
func crossing(random *rand.Rand) []person {
	people := make([]person, 4)
	for i := range people {
		phase, lane, period := random.Float64()*6, 330+30*float64(i), 7+random.Float64()*4
		size := 70 + 12*float64(i)
		people[i] = person{until: seconds, at: func(s float64) (float64, float64, float64) {
			turn := 2 * math.Pi * (s + phase) / period
			return Width/2 + 450*math.Sin(turn), lane + 4*math.Sin(11*s), size
		}}
	}
	return people
}

// occlusion: three walk behind a pillar again and again, each hidden for about half a second.
func occlusion(random *rand.Rand) []person {
	people := make([]person, 3)
	for i := range people {
		phase, y, size := random.Float64()*8, 150+200*float64(i), 60+20*random.Float64()
		people[i] = person{until: seconds, at: func(s float64) (float64, float64, float64) {
			return zigzag(s+phase, 6, 200, Width-200), y + 6*math.Sin(9*s), size
		}}
	}
	return people
}

// zigzag walks from low to high and back at even speed.
func zigzag(s, period, low, high float64) float64 {
	part := math.Mod(s/period, 2)
	if part > 1 {
		part = 2 - part
	}
	return low + part*(high-low)
}

// comingBack: somebody stands, walks away, and another one comes to the same place; each is another person to a tracker
// that knows no faces.
func comingBack(random *rand.Rand) []person {
	var people []person
	for place := range 3 {
		x, y := 300+350*float64(place), 250+100*random.Float64()
		for from := random.Float64() * 2; from < seconds-4; {
			until := from + 3 + 3*random.Float64()
			dx, size := 40*random.NormFloat64(), 80+20*random.Float64()
			people = append(people, person{from: from, until: until, at: func(s float64) (float64, float64, float64) {
				return x + dx + 15*math.Sin(2*(s-from)), y + 5*math.Sin(7*s), size
			}})
			from = until + 2 + 2*random.Float64()
		}
	}
	return people
}

// crowd: thirty people mill about, near ones in front of far ones.
func crowd(random *rand.Rand) []person {
	people := make([]person, 30)
	for i := range people {
		x, y := 100+(Width-200)*random.Float64(), 100+(Height-200)*random.Float64()
		rx, ry := 60+120*random.Float64(), 15+40*random.Float64()
		px, py := 5+6*random.Float64(), 4+6*random.Float64()
		tx, ty, size := random.Float64()*6, random.Float64()*6, 35+45*random.Float64()
		people[i] = person{until: seconds, at: func(s float64) (float64, float64, float64) {
			return x + rx*math.Sin(2*math.Pi*s/px+tx), y + ry*math.Sin(2*math.Pi*s/py+ty), size * (1 + 0.1*math.Sin(s+tx))
		}}
	}
	return people
}

// still: five people sit at their desks.
func still(random *rand.Rand) []person {
	people := make([]person, 5)
	for i := range people {
		x, y, size := 150+240*float64(i), 200+300*random.Float64(), 50+60*random.Float64()
		people[i] = person{until: seconds, at: func(s float64) (float64, float64, float64) {
			return x + 3*math.Sin(s+x), y + 2*math.Sin(1.3*s), size
		}}
	}
	return people
}
