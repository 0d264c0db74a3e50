// SPDX-License-Identifier: Apache-2.0

// Command trackscenes shows the scripted scenes to a tracker in another language, and judges what it answers.
//
//	trackscenes -print                 each scene as one line of JSON
//	trackscenes -ours                  scores of our tracker, by script, detector and rate
//	trackscenes -gain                  the same over all scenes, of the boxes from 0.5 on, with and without less sure ones to continue by
//	trackscenes -judge < ANSWERS       the same for the answers of another: {"scene name": [[number of each box] of each frame]}
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"visavis/capture/internal/track"
	"visavis/capture/internal/track/scene"
)

func main() {
	show := flag.Bool("print", false, "print the scenes")
	ours := flag.Bool("ours", false, "score our tracker")
	gain := flag.Bool("gain", false, "score our tracker with and without unsure boxes")
	judge := flag.Bool("judge", false, "score the answers on the standard input")
	flag.Parse()
	var err error
	switch {
	case *show:
		err = printScenes()
	case *ours:
		err = printScores(scene.Play(scene.All(scene.Seed), track.New))
	case *gain:
		err = printGain()
	case *judge:
		err = judgeAnswers()
	default:
		flag.Usage()
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "trackscenes:", err)
		os.Exit(1)
	}
}

// line is a scene as others read it: boxes are x, y, width, height, score.
type line struct {
	Name   string  `json:"name"`
	FPS    float64 `json:"fps"`
	Width  int     `json:"width"`
	Height int     `json:"height"`
	Frames []shown `json:"frames"`
}

type shown struct {
	Seconds float64      `json:"seconds"`
	Boxes   [][5]float32 `json:"boxes"`
}

func printScenes() error {
	out := json.NewEncoder(os.Stdout)
	for _, s := range scene.All(scene.Seed) {
		l := line{Name: s.Name, FPS: s.FPS, Width: scene.Width, Height: scene.Height}
		for _, f := range s.Frames {
			boxes := make([][5]float32, len(f.Boxes))
			for i, b := range f.Boxes {
				boxes[i] = [5]float32{b.Box.X, b.Box.Y, b.Box.W, b.Box.H, b.Box.Score}
			}
			l.Frames = append(l.Frames, shown{float64(f.AtNs-s.Frames[0].AtNs) / 1e9, boxes})
		}
		if err := out.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

// printGain writes a line of JSON for what is told with unsure boxes, and one for without.
func printGain() error {
	const least, told = 0.5 / 3, 0.5
	with, without, err := scene.Gain(scene.All(scene.Seed), least, told, track.New)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for _, score := range []scene.Score{with, without} {
		if err := out.Encode(score); err != nil {
			return err
		}
	}
	return nil
}

func judgeAnswers() error {
	var answers map[string][][]uint64
	if err := json.NewDecoder(os.Stdin).Decode(&answers); err != nil {
		return err
	}
	return printScores(scene.All(scene.Seed), answers)
}

func printScores(scenes []scene.Scene, answers map[string][][]uint64) error {
	scores, err := scene.Scores(scenes, answers)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(scores)
}
