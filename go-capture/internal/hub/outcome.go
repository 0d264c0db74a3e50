// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"strings"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/ring"
)

// fates is indexed by dispatch.Fate.
var fates = [...]fate{
	dispatch.Inferred: inferred, dispatch.Superseded: superseded, dispatch.NoSlot: noSlot,
	dispatch.Aborted: aborted, dispatch.Abandoned: abandoned,
}

// Outcome takes the end of one captured frame, in any order, from any goroutine, and owns its picture from here on. It
// only appends to a queue.
func (h *Hub) Outcome(o dispatch.Outcome) {
	model, _, _ := strings.Cut(o.Model, "@") // workers say model@backend; the backend is told once, in MQTT's info
	h.append(entry{arrival: &arrival{
		camera: o.Stream, seq: o.Seq, fate: fates[o.Fate], model: model,
		letterbox: o.Frame.Letterbox, picture: o.Frame.Picture, capturedNs: o.Frame.CapturedNs, readyNs: o.Frame.ReadyNs,
		dispatchNs: o.DispatchNs, receivedNs: o.ReceivedNs, inferBeginNs: o.InferBeginNs, inferEndNs: o.InferEndNs,
		resultNs: o.ResultNs, detections: detections(o.Detections),
	}})
}

// detections drops the landmarks that a model without them leaves undefined.
func detections(from []ring.Detection) []detection {
	found := make([]detection, len(from))
	for i, d := range from {
		found[i] = detection{x1: d.X1, y1: d.Y1, x2: d.X2, y2: d.Y2, score: d.Score}
		if d.Flags&ring.DetectionFlagLandmarks == 0 {
			continue
		}
		for _, p := range d.Landmarks {
			found[i].landmarks = append(found[i].landmarks, geometry.Point{X: p[0], Y: p[1]})
		}
	}
	return found
}
