// SPDX-License-Identifier: Apache-2.0

// Package payload writes faces and stages as contracts/schemas has them, for everybody who sends them as JSON.
package payload

import (
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
)

// Face is one face: pixels to a tenth, score to a thousandth.
type Face struct {
	Box       [4]float64   `json:"box"` // x, y, width, height
	Score     float64      `json:"score"`
	Landmarks [][2]float64 `json:"landmarks,omitempty"`
	Track     uint64       `json:"track,omitempty"` // 0 = not followed
}

// Latency is where the time of a frame went, in ms to a thousandth.
type Latency struct {
	Capture float64 `json:"capture"`
	Queue   float64 `json:"queue"`
	Handoff float64 `json:"handoff"`
	Infer   float64 `json:"infer"`
	Publish float64 `json:"publish"`
	Total   float64 `json:"total"`
}

// Dropped are pictures that were not inferred, by reason.
type Dropped struct {
	Superseded uint64 `json:"superseded"`
	NoSlot     uint64 `json:"no_slot"`
	Aborted    uint64 `json:"aborted"`
	Abandoned  uint64 `json:"abandoned"`
}

// Faces is never nil: no face is [], not null.
func Faces(from []hub.Face) []Face {
	list := make([]Face, len(from))
	for i, f := range from {
		list[i] = Face{
			Box: f.Box.Tenths(), Score: geometry.Round(float64(f.Score), 1000), Track: f.Track,
			Landmarks: make([][2]float64, 0, len(f.Landmarks)),
		}
		for _, p := range f.Landmarks {
			list[i].Landmarks = append(list[i].Landmarks, p.Tenths())
		}
	}
	return list
}

// LatencyOf rounds the stages.
func LatencyOf(l hub.Latency) Latency {
	return Latency{
		Capture: geometry.Round(l.Capture, 1000), Queue: geometry.Round(l.Queue, 1000), Handoff: geometry.Round(l.Handoff, 1000),
		Infer: geometry.Round(l.Infer, 1000), Publish: geometry.Round(l.Publish, 1000), Total: geometry.Round(l.Total, 1000),
	}
}
