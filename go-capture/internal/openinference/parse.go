// SPDX-License-Identifier: Apache-2.0

package openinference

import (
	"encoding/json"
	"errors"
	"slices"
	"unicode/utf8"
)

// jsonRequest is the JSON of a request. Lists have a fixed length: what is too much in them takes no memory, and is noticed.
type jsonRequest struct {
	ID         string                         `json:"id"`
	Parameters Parameters                     `json:"parameters"`
	Inputs     [InputsMost + 1]slot[jsonIn]   `json:"inputs"`
	Outputs    [OutputsMost + 1]slot[jsonOut] `json:"outputs"`
}

// slot is one place of a list, which something may stand in.
type slot[T any] struct {
	taken bool
	value T
}

// UnmarshalJSON notices that there is something.
func (s *slot[T]) UnmarshalJSON(text []byte) error {
	s.taken = true
	return json.Unmarshal(text, &s.value)
}

// How many tensors a request may have.
const (
	InputsMost  = 1
	OutputsMost = 3
)

type jsonIn struct {
	Name       string     `json:"name"`
	Datatype   string     `json:"datatype"`
	Shape      shape      `json:"shape"`
	Parameters Parameters `json:"parameters"`
	Data       content    `json:"data"`
}

type jsonOut struct {
	Name       string     `json:"name"`
	Parameters Parameters `json:"parameters"`
}

// Parse reads the body of a request over HTTP whose first `header` bytes are JSON; with header < 0 all of it is. It takes memory for
// what the picture has in bytes, and no more than a few times JSONMost beside it. Errors are ErrMalformed.
func Parse(body []byte, header int) (Request, error) {
	text, tail := body, []byte(nil)
	if header >= 0 {
		if header > len(body) || header > JSONMost {
			return Request{}, malformedf("%s is %d: the body has %d bytes, and at most %d may be JSON.", HeaderLength, header, len(body), JSONMost)
		}
		text, tail = body[:header], body[header:]
	}
	var read jsonRequest
	if err := json.Unmarshal(text, &read); err != nil {
		return Request{}, notJSON(err)
	}
	input, err := read.input(tail)
	if err != nil {
		return Request{}, err
	}
	return read.request(input)
}

func notJSON(err error) error {
	if errors.Is(err, ErrMalformed) {
		return err
	}
	return malformedf("The JSON cannot be read: %v.", err)
}

// input is the one input, with what stands behind the JSON if it is for it.
func (r *jsonRequest) input(tail []byte) (Input, error) {
	if !r.Inputs[0].taken || r.Inputs[1].taken {
		return Input{}, ErrOneInput
	}
	in := r.Inputs[0].value
	if err := KnowsInput(in.Parameters); err != nil {
		return Input{}, err
	}
	input := Input{Name: in.Name, Datatype: in.Datatype, Shape: in.Shape, content: in.Data}
	size, binary := in.Parameters[SizeParameter]
	switch {
	case binary && in.Data.given():
		return Input{}, malformedf("The input %.64q has both data and binary_data_size.", in.Name)
	case binary && size != float64(len(tail)):
		return Input{}, malformedf("binary_data_size is %.64v, and %d bytes stand behind the JSON.", size, len(tail))
	case !binary && len(tail) > 0:
		return Input{}, malformedf("%d bytes stand behind the JSON, and no input has a binary_data_size.", len(tail))
	case !binary && !in.Data.given():
		return Input{}, malformedf("The input %.64q has no data.", in.Name)
	case binary:
		return input.WithRaw(tail)
	}
	return input, nil
}

// request puts the parts together.
func (r *jsonRequest) request(input Input) (Request, error) {
	options, err := OptionsOf(r.Parameters)
	if err != nil {
		return Request{}, err
	}
	var outputs []Output
	for _, out := range r.Outputs {
		if !out.taken {
			break
		}
		if err := KnowsOutput(out.value.Parameters); err != nil {
			return Request{}, err
		}
		one := Output{Name: out.value.Name, Binary: options.BinaryOutput}
		if value, said := out.value.Parameters[BehindParameter]; said {
			if err := truth(&one.Binary, value, BehindParameter); err != nil {
				return Request{}, err
			}
		}
		outputs = append(outputs, one)
	}
	return Build(r.ID, options, input, outputs)
}

// Build is a request of its parts. Without outputs it wants all. One that is refused has its id.
func Build(id string, options Options, input Input, outputs []Output) (Request, error) {
	r := Request{ID: id, Options: options}
	if utf8.RuneCountInString(id) > IDMost {
		return r, malformedf("id is longer than %d characters.", IDMost)
	}
	if len(outputs) > OutputsMost {
		return r, malformedf("There are %d outputs and no more.", OutputsMost)
	}
	if len(outputs) == 0 {
		for _, one := range MetadataOf("").Outputs {
			outputs = append(outputs, Output{one.Name, options.BinaryOutput})
		}
	}
	for _, one := range outputs {
		if !slices.Contains(OutputNames(), one.Name) {
			return r, malformedf("There is no output %.64q: ask for boxes, scores or landmarks.", one.Name)
		}
	}
	r.Outputs = outputs
	return r, input.fill(&r)
}
