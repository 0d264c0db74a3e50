// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"
)

// frigateStats are the figures that Frigate sends, as far as there is the same here.
type frigateStats struct {
	Cameras      map[string]frigateCamera   `json:"cameras"`
	Detectors    map[string]frigateDetector `json:"detectors"`
	DetectionFPS float64                    `json:"detection_fps"`
	CPUUsages    map[string]any             `json:"cpu_usages"`
	GPUUsages    map[string]any             `json:"gpu_usages"`
	Processes    map[string]any             `json:"processes"`
	Service      frigateService             `json:"service"`
}

type frigateCamera struct {
	CameraFPS        float64 `json:"camera_fps"`
	ProcessFPS       float64 `json:"process_fps"`
	SkippedFPS       float64 `json:"skipped_fps"`
	DetectionFPS     float64 `json:"detection_fps"`
	DetectionEnabled bool    `json:"detection_enabled"`
	PID              int     `json:"pid"`
	CapturePID       int     `json:"capture_pid"`
}

type frigateDetector struct {
	InferenceSpeed float64 `json:"inference_speed"` // ms
	DetectionStart float64 `json:"detection_start"`
	PID            int     `json:"pid"`
}

type frigateService struct {
	UptimeS       int64              `json:"uptime"`
	Version       string             `json:"version"`
	LatestVersion string             `json:"latest_version"`
	Storage       map[string]any     `json:"storage"`
	Temperatures  map[string]float64 `json:"temperatures"`
	LastUpdated   int64              `json:"last_updated"`
}

func (f *Frigate) sendStats(client paho.Client) error {
	read := f.stats.Load()
	if read == nil {
		return nil
	}
	payload, err := json.Marshal(f.statsOf((*read)()))
	if err != nil {
		return fmt.Errorf("encode stats: %w", err)
	}
	return written(client.Publish(FrigateStatsTopic(f.prefix()), FrigateStatsDelivery.QoS, FrigateStatsDelivery.Retain, payload))
}

func (f *Frigate) statsOf(s Stats) frigateStats {
	pid := os.Getpid()
	made := frigateStats{
		Cameras: map[string]frigateCamera{}, Detectors: map[string]frigateDetector{}, CPUUsages: map[string]any{}, GPUUsages: map[string]any{},
		Processes: map[string]any{}, Service: frigateService{
			UptimeS: int64(time.Since(f.begun).Seconds()), Version: f.settings.Version, LatestVersion: f.settings.Version,
			Storage: map[string]any{}, Temperatures: map[string]float64{}, LastUpdated: time.Now().Unix(),
		},
	}
	if s.TemperatureC != nil {
		made.Service.Temperatures["hottest"] = *s.TemperatureC
	}
	slowest := 0.0
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, c := range s.Cameras {
		made.Cameras[name] = frigateCamera{
			CameraFPS: c.FPSCaptured, ProcessFPS: c.FPSInferred, SkippedFPS: max(c.FPSCaptured-c.FPSInferred, 0), DetectionFPS: c.FPSInferred,
			DetectionEnabled: !f.modes[name].blind, PID: pid, CapturePID: pid,
		}
		made.DetectionFPS += c.FPSInferred
		slowest = max(slowest, c.P50.Infer)
	}
	made.Detectors["visavis"] = frigateDetector{InferenceSpeed: slowest, PID: pid}
	return made
}
