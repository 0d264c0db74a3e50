// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"time"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/event"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/payload"
)

// answer is contracts/schemas/detected.schema.json: the detections payload without a camera.
type answer struct {
	Schema        int             `json:"schema"`
	Device        string          `json:"device"`
	Frame         uint64          `json:"frame"`
	CapturedAt    event.Time      `json:"captured_at"`
	Width         int             `json:"width"`
	Height        int             `json:"height"`
	Model         string          `json:"model"`
	Faces         []payload.Face  `json:"faces"`
	Latency       payload.Latency `json:"latency_ms"`
	Dropped       payload.Dropped `json:"dropped"`
	DroppedFrames *[]uint64       `json:"dropped_frames,omitempty"` // of a stream: pictures before this one that a newer one replaced
}

// answered puts the faces into pixels of the upright picture.
func answered(r request, o dispatch.Outcome) found {
	width, height := r.header.Upright()
	return found{
		number: o.Seq, model: o.ModelName(), width: width, height: height, faces: hub.FacesOf(o.Detections, o.Frame.Letterbox),
		release: func() {},
	}
}

// scaled puts faces into pixels of the picture at hand, which was decoded at 1/reduce of the scale and may show more beside it.
func scaled(faces []hub.Face, reduce int, beyond geometry.Margins) []hub.Face {
	by := float32(reduce)
	small := make([]hub.Face, len(faces))
	for i, one := range faces {
		b := one.Box
		x, y := (b.X+float32(beyond.Left))/by, (b.Y+float32(beyond.Top))/by
		small[i] = hub.Face{Box: geometry.Box{X: x, Y: y, W: b.W / by, H: b.H / by}, Score: one.Score}
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
		Schema: 1, Device: g.settings.Device, Frame: f.number, CapturedAt: event.Time{Time: arrived},
		Width: f.width, Height: f.height, Model: f.model, Faces: payload.Faces(faces), Latency: payload.LatencyOf(f.latency),
	}
}

func ms(ns int64) float64 { return float64(ns) / 1e6 }
