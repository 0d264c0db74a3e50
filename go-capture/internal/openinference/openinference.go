// SPDX-License-Identifier: Apache-2.0

// Package openinference reads and writes the Open Inference Protocol, version 2: one picture in, its faces out as tensors.
//
// The way of a request: Parse takes it apart (parse.go, tensor.go), its parameters become Options (options.go), and the faces go back
// as Answer writes them (answer.go). What the model looks like to clients stands in model.go. gRPC differs only in its outermost part.
package openinference

import (
	"errors"
	"fmt"
)

const (
	// HeaderLength is the HTTP header that tells how much of a body is JSON; what follows are tensors as bytes.
	HeaderLength = "Inference-Header-Content-Length"
	// JSONMost is how many bytes of JSON may stand before tensors that come as bytes.
	JSONMost = 16 << 10
	// IDMost is how many characters of a client's id are sent back.
	IDMost = 256
)

// ErrMalformed is wrapped by every error of this package: the request is not one of the protocol, or not one for this model.
var ErrMalformed = errors.New("the request is malformed")

// ErrPixels is an ErrMalformed: the request is one for this model, but its pixels are not as many as its shape says.
var ErrPixels = fmt.Errorf("%w: shape and data differ", ErrMalformed)

// malformed is an error whose sentence is for the client.
type malformed string

func (m malformed) Error() string { return string(m) }

// Unwrap makes it an ErrMalformed.
func (malformed) Unwrap() error { return ErrMalformed }

func malformedf(format string, values ...any) error { return malformed(fmt.Sprintf(format, values...)) }

// Request is one picture whose faces are wanted, and how. What it holds shares the memory of what it was read from.
type Request struct {
	ID      string // the client's, "" = none
	Options Options
	Outputs []Output // in the client's order; all of them when it named none

	Encoded       []byte // JPEG, PNG or WebP; nil when the picture came as Pixels
	Pixels        []byte // rows of red, green, blue
	Width, Height int    // of Pixels
}

// Output is a tensor that the client wants back.
type Output struct {
	Name   string
	Binary bool // as bytes behind the JSON; gRPC has nothing else
}
