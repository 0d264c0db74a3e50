// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"encoding/json"

	"visavis/capture/internal/engine"
	"visavis/capture/internal/event"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/payload"
)

const schemaVersion = 1

// Info is what a subscriber may want to know of the device.
type Info struct {
	Schema    int           `json:"schema"` // 1
	Version   string        `json:"version"`
	Latest    string        `json:"latest_version,omitempty"` // that this device could have, if something looks for it
	Model     string        `json:"model"`
	Backend   string        `json:"backend"`
	Precision string        `json:"precision"`
	Fallback  bool          `json:"fallback"`
	Slowed    bool          `json:"slowed"` // it is too hot
	Engine    *engine.State `json:"engine,omitempty"`
	Workers   int           `json:"workers"`
	Cameras   []string      `json:"cameras"`
	URL       string        `json:"url"`
	// Brokers says of each whether it is there, by its section of the configuration: who listens at one learns of the other.
	Brokers map[string]bool `json:"brokers"`
}

// Stats are the figures sent every ten seconds.
type Stats struct {
	Schema       int                    `json:"schema"` // 1
	Cameras      map[string]CameraStats `json:"cameras"`
	TemperatureC *float64               `json:"temperature_c,omitempty"`
	// InferenceShare is the part of their time in which workers may work.
	InferenceShare float64 `json:"inference_share"`
	MemoryBytes    uint64  `json:"memory_bytes"`
}

// CameraStats are the figures of one camera.
type CameraStats struct {
	FPSCaptured float64         `json:"fps_captured"`
	FPSInferred float64         `json:"fps_inferred"`
	Dropped     payload.Dropped `json:"dropped"`
	P50         payload.Latency `json:"latency_ms_p50"`
	P99         payload.Latency `json:"latency_ms_p99"`
}

// StatsOf turns the figures of one camera, and what it lost since the start, into what is sent.
func StatsOf(f hub.CameraFigures, lost hub.Dropped) CameraStats {
	return CameraStats{
		FPSCaptured: geometry.Round(f.FPSCaptured, 10), FPSInferred: geometry.Round(f.FPSInferred, 10),
		Dropped: payload.Dropped(lost), P50: payload.LatencyOf(f.P50), P99: payload.LatencyOf(f.P99),
	}
}

type detections struct {
	Schema     int             `json:"schema"`
	Device     string          `json:"device"`
	Camera     string          `json:"camera"`
	Frame      uint64          `json:"frame"`
	CapturedAt event.Time      `json:"captured_at"`
	Width      int             `json:"width"`
	Height     int             `json:"height"`
	Model      string          `json:"model"`
	Faces      []payload.Face  `json:"faces"`
	Latency    payload.Latency `json:"latency_ms"`
	Dropped    payload.Dropped `json:"dropped"`
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
		CapturedAt: event.Time{Time: r.CapturedAt},
		Width:      r.Width, Height: r.Height, Model: r.Model, Faces: payload.Faces(r.Faces),
		Latency: payload.LatencyOf(stages), Dropped: payload.Dropped(drops),
	})
}
