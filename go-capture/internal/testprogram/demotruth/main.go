// SPDX-License-Identifier: Apache-2.0

// Command demotruth prints the boxes of the demo's faces as JSON, one list for each frame of the script: tests compare with it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"visavis/capture/internal/demo"
)

func main() {
	width := flag.Int("width", 640, "of the demo picture, pixels")
	height := flag.Int("height", 480, "of the demo picture, pixels")
	flag.Parse()
	frames := make([][][4]float32, demo.Frames)
	for n := range frames {
		frames[n] = [][4]float32{}
		for _, box := range demo.Truth(n, *width, *height) {
			frames[n] = append(frames[n], [4]float32{box.X, box.Y, box.W, box.H})
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(frames); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
