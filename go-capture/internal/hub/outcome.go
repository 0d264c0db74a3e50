// SPDX-License-Identifier: Apache-2.0

package hub

import (
	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/ring"
)

// Outcome takes the end of one captured frame, in any order, from any goroutine, and owns its picture from here on. It
// only appends to a queue.
func (h *Hub) Outcome(o dispatch.Outcome) {
	h.append(entry{arrival: &arrival{
		camera: o.Stream, seq: o.Seq, fate: o.Fate, model: o.ModelName(),
		letterbox: o.Frame.Letterbox, picture: o.Frame.Picture, capturedNs: o.Frame.CapturedNs, readyNs: o.Frame.ReadyNs,
		dispatchNs: o.DispatchNs, inferBeginNs: o.InferBeginNs, inferEndNs: o.InferEndNs,
		resultNs: o.ResultNs, detections: o.Detections,
	}})
}

// AtLeast are the faces that are told. Workers send less sure ones as well, which only the tracker hears of.
func AtLeast(score float64, faces []Face) []Face {
	sure := []Face{}
	for _, one := range faces {
		if one.Score >= float32(score) {
			sure = append(sure, one)
		}
	}
	return sure
}

// FacesOf undoes the letterbox. It drops what lies beside the picture, and the landmarks that a model without them leaves undefined.
func FacesOf(detections []ring.Detection, box geometry.Letterbox) []Face {
	faces := make([]Face, 0, len(detections))
	for _, d := range detections {
		face := Face{Box: box.Undo(d.X1, d.Y1, d.X2, d.Y2), Score: d.Score}
		if face.Box.W == 0 || face.Box.H == 0 {
			continue
		}
		if d.Flags&ring.DetectionFlagLandmarks != 0 {
			face.Landmarks = landmarksOf(d, box)
		}
		faces = append(faces, face)
	}
	return faces
}

func landmarksOf(d ring.Detection, box geometry.Letterbox) []geometry.Point {
	landmarks := make([]geometry.Point, 0, len(d.Landmarks))
	for _, p := range d.Landmarks {
		landmarks = append(landmarks, box.UndoPoint(p[0], p[1]))
	}
	return landmarks
}
