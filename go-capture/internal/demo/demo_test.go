// SPDX-License-Identifier: Apache-2.0

package demo

import "testing"

func TestTheScriptShowsNobodyThenOneThenTwoAndEndsEmpty(t *testing.T) {
	for frame, want := range map[int]int{0: 0, 29: 0, 30: 1, 209: 1, 210: 2, 389: 2, 390: 1, 510: 0, Frames - 1: 0, Frames + 30: 1} {
		if got := len(Truth(frame, 640, 480)); got != want {
			t.Errorf("frame %d shows %d faces, want %d", frame, got, want)
		}
	}
}

func TestEveryCropStaysInsideThePicture(t *testing.T) {
	for _, size := range [][2]int{{320, 240}, {640, 480}, {1280, 720}, {1920, 1080}, {480, 640}, {576, 720}, {720, 1280}, {1080, 1920}} {
		for n := range Frames {
			for _, a := range Actors {
				crop, _ := a.Place(n, size[0], size[1])
				if crop.X < 0 || crop.Y < 0 || int(crop.X+crop.W) > size[0] || int(crop.Y+crop.H) > size[1] {
					t.Fatalf("%s leaves a picture of %v at frame %d: %v", a.File, size, n, crop)
				}
			}
		}
	}
}
