// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"math"
	"strings"
	"time"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/ring"
)

// answer is contracts/schemas/detected.schema.json: the detections payload of a camera, without what only a camera has.
type answer struct {
	Schema        int       `json:"schema"`
	Device        string    `json:"device"`
	Frame         uint64    `json:"frame"`
	CapturedAt    string    `json:"captured_at"`
	Width         int       `json:"width"`
	Height        int       `json:"height"`
	Model         string    `json:"model"`
	Faces         []face    `json:"faces"`
	Latency       latency   `json:"latency_ms"`
	DroppedFrames *[]uint64 `json:"dropped_frames,omitempty"` // of a stream: pictures before this one that a newer one replaced
}

type face struct {
	Box       [4]float64   `json:"box"`
	Score     float64      `json:"score"`
	Landmarks [][2]float64 `json:"landmarks,omitempty"`
}

type latency struct {
	Capture float64 `json:"capture"`
	Queue   float64 `json:"queue"`
	Handoff float64 `json:"handoff"`
	Infer   float64 `json:"infer"`
	Publish float64 `json:"publish"`
	Total   float64 `json:"total"`
}

// answered puts the faces into pixels of the upright picture.
func answered(r request, d drawn, o dispatch.Outcome) found {
	width, height := r.header.Upright()
	model, _, _ := strings.Cut(o.Model, "@") // workers say model@backend
	return found{
		number: o.Seq, model: model, width: width, height: height, faces: facesOf(o.Detections, o.Frame.Letterbox),
		picture: d.picture, release: d.release,
	}
}

func facesOf(detections []ring.Detection, box geometry.Letterbox) []hub.Face {
	faces := make([]hub.Face, len(detections))
	for i, d := range detections {
		faces[i] = hub.Face{Box: box.Undo(d.X1, d.Y1, d.X2, d.Y2), Score: d.Score}
		if d.Flags&ring.DetectionFlagLandmarks == 0 {
			continue
		}
		for _, p := range d.Landmarks {
			faces[i].Landmarks = append(faces[i].Landmarks, box.UndoPoint(p[0], p[1]))
		}
	}
	return faces
}

// atLeast drops faces below a score.
func atLeast(score float64, faces []hub.Face) []hub.Face {
	var kept []hub.Face
	for _, one := range faces {
		if float64(one.Score) >= score {
			kept = append(kept, one)
		}
	}
	return kept
}

// scaled puts faces into pixels of the picture at hand, which may have been decoded smaller.
func scaled(faces []hub.Face, by float32) []hub.Face {
	small := make([]hub.Face, len(faces))
	for i, one := range faces {
		b := one.Box
		small[i] = hub.Face{Box: geometry.Box{X: b.X * by, Y: b.Y * by, W: b.W * by, H: b.H * by}, Score: one.Score}
	}
	return small
}

// stages splits the time since the whole picture was here, by the names of the cameras' stages: capture is decoding and drawing,
// queue is the wait for a place and for a worker.
func stages(r request, grantedNs int64, f *flight, o dispatch.Outcome) hub.Latency {
	l := hub.Latency{
		Capture: ms(f.frame.ReadyNs - grantedNs), Queue: ms(grantedNs - r.arrivedNs + o.DispatchNs - f.frame.ReadyNs),
		Handoff: ms(o.InferBeginNs - o.DispatchNs + o.ResultNs - o.InferEndNs), Infer: ms(o.InferEndNs - o.InferBeginNs),
		Total: ms(frame.MonotonicNs() - r.arrivedNs),
	}
	l.Publish = l.Total - l.Capture - l.Queue - l.Handoff - l.Infer
	return l
}

func (g *Gateway) answerOf(r request, f found, faces []hub.Face) answer {
	arrived := time.Now().Add(-time.Duration(frame.MonotonicNs() - r.arrivedNs))
	return answer{
		Schema: 1, Device: g.settings.Device, Frame: f.number, CapturedAt: arrived.UTC().Format("2006-01-02T15:04:05.000Z"),
		Width: f.width, Height: f.height, Model: f.model, Faces: written(faces), Latency: rounded(f.latency),
	}
}

func written(faces []hub.Face) []face {
	list := make([]face, len(faces)) // never nil: no face is [], not null
	for i, f := range faces {
		list[i] = face{
			Box:   [4]float64{pixels(f.Box.X), pixels(f.Box.Y), pixels(f.Box.W), pixels(f.Box.H)},
			Score: round(float64(f.Score), 1000),
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

func ms(ns int64) float64            { return float64(ns) / 1e6 }
func pixels(v float32) float64       { return round(float64(v), 10) }
func round(v, parts float64) float64 { return math.Round(v*parts) / parts }
