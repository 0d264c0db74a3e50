// SPDX-License-Identifier: Apache-2.0

package scene

import "fmt"

// Score is how well the numbers that a tracker gave fit the people. It only looks at boxes, each of which is somebody's or
// a false alarm, so no matching of boxes blurs it.
type Score struct {
	Boxes     int `json:"boxes"`     // of people
	Misses    int `json:"misses"`    // boxes of people without a number
	False     int `json:"false"`     // false alarms with a number
	Switches  int `json:"switches"`  // times a person's number changed
	Thefts    int `json:"thefts"`    // times a number went over to another person
	Fragments int `json:"fragments"` // times a person lost the number and had one again later
}

// Plus adds up.
func (s Score) Plus(o Score) Score {
	return Score{
		s.Boxes + o.Boxes, s.Misses + o.Misses, s.False + o.False, s.Switches + o.Switches, s.Thefts + o.Thefts,
		s.Fragments + o.Fragments,
	}
}

// judge remembers who has which number.
type judge struct {
	score   Score
	numbers map[int]uint64 // by person, the last one
	owners  map[uint64]int // by number, the last person
	without map[int]bool   // people whose last box had no number
}

// Judge scores the numbers of all boxes of a scene, frame by frame; 0 is no number. It fails when there is not one for
// each box.
func (s Scene) Judge(ids [][]uint64) (Score, error) {
	if len(ids) != len(s.Frames) {
		return Score{}, fmt.Errorf("scene %s: answers for %d frames, want %d", s.Name, len(ids), len(s.Frames))
	}
	j := judge{numbers: map[int]uint64{}, owners: map[uint64]int{}, without: map[int]bool{}}
	for i, frame := range s.Frames {
		if len(ids[i]) != len(frame.Boxes) {
			return Score{}, fmt.Errorf("scene %s, frame %d: %d numbers, want %d", s.Name, i, len(ids[i]), len(frame.Boxes))
		}
		for k, seen := range frame.Boxes {
			j.box(seen.Person, ids[i][k])
		}
	}
	return j.score, nil
}

func (j *judge) box(person int, id uint64) {
	switch {
	case person == 0 && id != 0:
		j.score.False++
	case person == 0:
	case id == 0:
		j.score.Boxes++
		j.score.Misses++
		j.without[person] = true
	default:
		j.score.Boxes++
		j.given(person, id)
	}
}

func (j *judge) given(person int, id uint64) {
	last, known := j.numbers[person]
	if known && last != id {
		j.score.Switches++
	}
	if known && j.without[person] {
		j.score.Fragments++
	}
	if owner, used := j.owners[id]; used && owner != person {
		j.score.Thefts++
	}
	j.numbers[person], j.owners[id], j.without[person] = id, person, false
}
