// SPDX-License-Identifier: Apache-2.0

// Package scene invents pictures' worth of faces whose identities are known, to measure trackers with.
//
// People walk on smooth ways; a camera with a jittering clock looks at them; a detector misses some, scores the half
// hidden ones low, shakes the boxes and sees faces where none are. The same seed makes the same scene on every machine.
package scene

import (
	"math/rand/v2"

	"visavis/capture/internal/track"
)

// Width and Height are the size of every scene's picture in pixels.
const Width, Height = 1280, 720

// Seen is one box of the detector, and whose face it is: 0 for a false alarm.
type Seen struct {
	Box    track.Box
	Person int
}

// Frame is what the detector saw at one time.
type Frame struct {
	AtNs  int64
	Boxes []Seen
}

// Scene is a script with its name.
type Scene struct {
	Name   string
	FPS    float64
	Frames []Frame
}

// Detector says how bad the detections are.
type Detector struct {
	Missed float64 // part of the visible faces without a box
	False  float64 // false alarms a frame
	Shake  float64 // standard deviation of each edge, in sizes of the face
	Jitter float64 // of the time between frames, as a part of it
	Lost   float64 // part of the frames that never arrive
}

// person is somebody's way: where the face is at a time, and how large. Not there outside from..until.
type person struct {
	from, until float64 // s
	at          func(seconds float64) (x, y, size float64)
}

// shape is the height of a face over its width.
const shape = 1.25

// film lets a detector look at people for some seconds.
func film(name string, fps, seconds float64, people []person, hide func(x, y float64) bool, d Detector, random *rand.Rand) Scene {
	s := Scene{Name: name, FPS: fps}
	for at := 0.0; at < seconds; at += max(0.2, 1+d.Jitter*random.NormFloat64()) / fps {
		if random.Float64() >= d.Lost {
			s.Frames = append(s.Frames, Frame{AtNs: 1e12 + int64(at*1e9), Boxes: look(people, at, hide, d, random)})
		}
	}
	return s
}

// look makes the boxes of one frame, in no order.
func look(people []person, at float64, hide func(x, y float64) bool, d Detector, random *rand.Rand) []Seen {
	var seen []Seen
	var faces []track.Box
	for i, p := range people {
		if at < p.from || at >= p.until {
			continue
		}
		x, y, size := p.at(at)
		if x < 0 || y < 0 || x > Width || y > Height || hide(x, y) {
			continue
		}
		box := track.Box{X: float32(x - size/2), Y: float32(y - size*shape/2), W: float32(size), H: float32(size * shape)}
		faces = append(faces, box)
		seen = append(seen, Seen{Box: box, Person: i + 1})
	}
	kept := seen[:0]
	for i, s := range seen {
		hidden := covered(faces, i)
		if hidden > 0.7 || random.Float64() < d.Missed {
			continue
		}
		s.Box = shaken(s.Box, d.Shake, random)
		s.Box.Score = score(hidden, random)
		kept = append(kept, s)
	}
	for range alarms(d.False, random) {
		kept = append(kept, Seen{Box: alarm(random)})
	}
	random.Shuffle(len(kept), func(i, j int) { kept[i], kept[j] = kept[j], kept[i] })
	return kept
}

// covered is the part of a face behind larger (nearer) ones.
func covered(faces []track.Box, i int) float64 {
	most := 0.0
	for j, other := range faces {
		f := faces[i]
		if j == i || other.W < f.W || (other.W == f.W && j > i) {
			continue
		}
		w := min(f.X+f.W, other.X+other.W) - max(f.X, other.X)
		h := min(f.Y+f.H, other.Y+other.H) - max(f.Y, other.Y)
		if w > 0 && h > 0 {
			most = max(most, float64(w*h/(f.W*f.H)))
		}
	}
	return most
}

func shaken(b track.Box, shake float64, random *rand.Rand) track.Box {
	edge := func() float32 { return float32(shake * random.NormFloat64() * float64(b.W)) }
	left, top, right, bottom := b.X+edge(), b.Y+edge(), b.X+b.W+edge(), b.Y+b.H+edge()
	return track.Box{X: left, Y: top, W: max(right-left, 1), H: max(bottom-top, 1)}
}

// score falls with what is hidden; a quarter covered is about where it crosses 0.5.
func score(hidden float64, random *rand.Rand) float32 {
	return float32(min(max(0.85-1.3*hidden+0.08*random.NormFloat64(), 0.1), 0.99))
}

func alarms(mean float64, random *rand.Rand) int {
	count := int(mean)
	if random.Float64() < mean-float64(count) {
		count++
	}
	return count
}

func alarm(random *rand.Rand) track.Box {
	size := float32(20 + 80*random.Float64())
	return track.Box{
		X: float32(random.Float64()) * (Width - size), Y: float32(random.Float64()) * (Height - size*shape),
		W: size, H: size * shape, Score: float32(0.3 + 0.4*random.Float64()),
	}
}
