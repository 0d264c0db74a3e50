// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"encoding/json"
	"math"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/hub"
)

const schemaVersion = 1

// Info is what a subscriber may want to know of the device.
type Info struct {
	Schema    int      `json:"schema"` // 1
	Version   string   `json:"version"`
	Model     string   `json:"model"`
	Backend   string   `json:"backend"`
	Precision string   `json:"precision"`
	Workers   int      `json:"workers"`
	Cameras   []string `json:"cameras"`
	URL       string   `json:"url"`
}

// Stats are the figures sent every ten seconds.
type Stats struct {
	Schema       int                    `json:"schema"` // 1
	Cameras      map[string]CameraStats `json:"cameras"`
	TemperatureC *float64               `json:"temperature_c,omitempty"`
	MemoryBytes  uint64                 `json:"memory_bytes"`
}

// CameraStats are the figures of one camera.
type CameraStats struct {
	FPSCaptured float64 `json:"fps_captured"`
	FPSInferred float64 `json:"fps_inferred"`
	Dropped     dropped `json:"dropped"`
	P50         latency `json:"latency_ms_p50"`
	P99         latency `json:"latency_ms_p99"`
}

// StatsOf turns the hub's figures of one camera into what is sent.
func StatsOf(f hub.CameraFigures) CameraStats {
	return CameraStats{
		FPSCaptured: round(f.FPSCaptured, 10), FPSInferred: round(f.FPSInferred, 10),
		Dropped: dropped(f.Dropped), P50: rounded(f.P50), P99: rounded(f.P99),
	}
}

type detections struct {
	Schema     int     `json:"schema"`
	Device     string  `json:"device"`
	Camera     string  `json:"camera"`
	Frame      uint64  `json:"frame"`
	CapturedAt string  `json:"captured_at"`
	Width      int     `json:"width"`
	Height     int     `json:"height"`
	Model      string  `json:"model"`
	Faces      []face  `json:"faces"`
	Latency    latency `json:"latency_ms"`
	Dropped    dropped `json:"dropped"`
}

type face struct {
	Box       [4]float64   `json:"box"`
	Score     float64      `json:"score"`
	Landmarks [][2]float64 `json:"landmarks,omitempty"`
	Track     uint64       `json:"track,omitempty"`
}

type latency struct {
	Capture float64 `json:"capture"`
	Queue   float64 `json:"queue"`
	Handoff float64 `json:"handoff"`
	Infer   float64 `json:"infer"`
	Publish float64 `json:"publish"`
	Total   float64 `json:"total"`
}

type dropped struct {
	Superseded uint64 `json:"superseded"`
	NoSlot     uint64 `json:"no_slot"`
	Aborted    uint64 `json:"aborted"`
	Abandoned  uint64 `json:"abandoned"`
}

// Detections is the payload of a result for who gets it otherwise than from the broker, as it leaves now.
func Detections(device string, r *hub.Result) ([]byte, error) {
	return encode(device, r, r.Dropped, frame.MonotonicNs())
}

// encode writes one result as it leaves at nowNs (CLOCK_MONOTONIC): the wait for the broker counts as publishing.
func encode(device string, r *hub.Result, drops hub.Dropped, nowNs int64) ([]byte, error) {
	waited := float64(nowNs-r.PublishedNs) / 1e6
	stages := r.Latency
	stages.Publish += waited
	stages.Total += waited
	return json.Marshal(detections{
		Schema: schemaVersion, Device: device, Camera: r.Camera, Frame: r.Seq,
		CapturedAt: r.CapturedAt.UTC().Format("2006-01-02T15:04:05.000Z"),
		Width:      r.Width, Height: r.Height, Model: r.Model, Faces: faces(r.Faces),
		Latency: rounded(stages), Dropped: dropped(drops),
	})
}

func faces(from []hub.Face) []face {
	list := make([]face, len(from)) // never nil: no face is [], not null
	for i, f := range from {
		list[i] = face{
			Box:   [4]float64{pixels(f.Box.X), pixels(f.Box.Y), pixels(f.Box.W), pixels(f.Box.H)},
			Score: round(float64(f.Score), 1000), Track: f.Track,
		}
		for _, p := range f.Landmarks {
			list[i].Landmarks = append(list[i].Landmarks, [2]float64{pixels(p.X), pixels(p.Y)})
		}
	}
	return list
}

func rounded(l hub.Latency) latency {
	return latency{
		Capture: round(l.Capture, 1000), Queue: round(l.Queue, 1000), Handoff: round(l.Handoff, 1000),
		Infer: round(l.Infer, 1000), Publish: round(l.Publish, 1000), Total: round(l.Total, 1000),
	}
}

func pixels(v float32) float64       { return round(float64(v), 10) }
func round(v, parts float64) float64 { return math.Round(v*parts) / parts }
