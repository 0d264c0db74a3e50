// SPDX-License-Identifier: Apache-2.0

package openinference

import (
	"encoding/binary"
	"encoding/json"
	"math"
)

// Face is one of the answer, in pixels of the upright picture.
type Face struct {
	Box       [boxSides]float64 // x, y, width, height
	Score     float64
	Landmarks [][coordinates]float64 // empty when the model has none
}

// Tensor is one output.
type Tensor struct {
	Name     string
	Datatype string
	Shape    []int64
	Data     []float32
}

// Tensors are the outputs that the request wants.
func (r Request) Tensors(faces []Face) []Tensor {
	all := map[string]Tensor{boxesName: boxes(faces), scoresName: scores(faces), landmarksName: landmarks(faces)}
	wanted := make([]Tensor, len(r.Outputs))
	for i, one := range r.Outputs {
		wanted[i] = all[one.Name]
	}
	return wanted
}

func boxes(faces []Face) Tensor {
	t := Tensor{boxesName, float32Type, []int64{int64(len(faces)), boxSides}, []float32{}}
	for _, face := range faces {
		for _, side := range face.Box {
			t.Data = append(t.Data, float32(side))
		}
	}
	return t
}

func scores(faces []Face) Tensor {
	t := Tensor{scoresName, float32Type, []int64{int64(len(faces))}, []float32{}}
	for _, face := range faces {
		t.Data = append(t.Data, float32(face.Score))
	}
	return t
}

// landmarks are not a number where the model has none, so that the shape stays.
func landmarks(faces []Face) Tensor {
	t := Tensor{landmarksName, float32Type, []int64{int64(len(faces)), landmarkPoints, coordinates}, []float32{}}
	nowhere := [coordinates]float64{math.NaN(), math.NaN()}
	for _, face := range faces {
		for i := range landmarkPoints {
			point := nowhere
			if i < len(face.Landmarks) {
				point = face.Landmarks[i]
			}
			t.Data = append(t.Data, float32(point[0]), float32(point[1]))
		}
	}
	return t
}

// Raw is the data as bytes, the lowest first.
func (t Tensor) Raw() []byte {
	raw := make([]byte, 0, 4*len(t.Data))
	for _, value := range t.Data {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(value))
	}
	return raw
}

// jsonAnswer is the JSON of an answer.
type jsonAnswer struct {
	Model   string       `json:"model_name"`
	Version string       `json:"model_version"`
	ID      string       `json:"id,omitempty"`
	Outputs []jsonTensor `json:"outputs"`
}

type jsonTensor struct {
	Name       string         `json:"name"`
	Datatype   string         `json:"datatype"`
	Shape      []int64        `json:"shape"`
	Parameters map[string]any `json:"parameters,omitempty"`
	Data       *numbers       `json:"data,omitempty"`
}

// numbers writes what is not a number as null, which JSON has no word for.
type numbers []float32

// MarshalJSON writes a flat list.
func (n numbers) MarshalJSON() ([]byte, error) {
	list := make([]*float32, len(n))
	for i := range n {
		if !math.IsNaN(float64(n[i])) {
			list[i] = &n[i]
		}
	}
	return json.Marshal(list)
}

// Answer is the body of an answer over HTTP. header is how much of it is JSON, -1 when all is.
func (r Request) Answer(model string, faces []Face) (body []byte, header int, err error) {
	answer := jsonAnswer{Model: model, Version: Version, ID: r.ID}
	var tail []byte
	header = -1
	for i, t := range r.Tensors(faces) {
		one := jsonTensor{Name: t.Name, Datatype: t.Datatype, Shape: t.Shape}
		if r.Outputs[i].Binary {
			raw := t.Raw()
			one.Parameters = map[string]any{SizeParameter: len(raw)}
			tail, header = append(tail, raw...), 0
		} else {
			one.Data = (*numbers)(&t.Data)
		}
		answer.Outputs = append(answer.Outputs, one)
	}
	text, err := json.Marshal(answer)
	if header == 0 {
		header = len(text)
	}
	return append(text, tail...), header, err
}
