// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"visavis/capture/internal/gateway"
	"visavis/capture/internal/openinference"
	"visavis/capture/internal/openinference/wire"
)

const (
	fieldsMost  = 64       // of one message: each may take many times its bytes in memory
	numbersMost = 1 << 20  // bytes of numbers in InferTensorContents, which take four times as much in memory
	smallMost   = 64 << 10 // bytes of everything but a picture

	// Field numbers of contracts/open_inference.proto.
	inputsField, rawField       = 5, 7
	contentsField               = 5
	uintsField, bytesOfContents = 4, 8
)

// codec writes answers. What comes does not pass it: a message is read in pieces, and looked at before it is taken apart.
type codec struct{}

// Name is that of protobuf.
func (codec) Name() string { return "proto" }

// Marshal writes an answer.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	message, ok := v.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("a %T is no message", v)
	}
	text, err := proto.Marshal(message)
	return mem.BufferSlice{mem.SliceBuffer(text)}, err
}

// Unmarshal fails; nothing calls it.
func (codec) Unmarshal(mem.BufferSlice, any) error { return errors.New("messages are read in pieces") }

func unmarshal(raw []byte, into proto.Message) error {
	if len(raw) > smallMost {
		return malformedf("The message has %d bytes.", len(raw))
	}
	return parsed(raw, into)
}

func parsed(raw []byte, into proto.Message) error {
	if err := proto.Unmarshal(raw, into); err != nil {
		return malformedf("The message cannot be read.")
	}
	return nil
}

func malformedf(format string, values ...any) error {
	return fmt.Errorf("%w: %s", openinference.ErrMalformed, fmt.Sprintf(format, values...))
}

// callOf takes the picture of a ModelInferRequest out of its message.
func callOf(raw []byte) (gateway.Call, error) {
	if err := bounded(raw); err != nil {
		return gateway.Call{}, err
	}
	var asked wire.ModelInferRequest
	if err := parsed(raw, &asked); err != nil {
		return gateway.Call{}, err
	}
	request, err := requestOf(&asked)
	return gateway.Call{Model: asked.GetModelName(), Version: asked.GetModelVersion(), Request: request}, err
}

// requestOf has the id of the message also where it is refused: in a stream the client knows by it which one that was.
func requestOf(asked *wire.ModelInferRequest) (openinference.Request, error) {
	refused := openinference.Request{ID: asked.GetId()}
	input, err := inputOf(asked)
	if err != nil {
		return refused, err
	}
	options, err := openinference.OptionsOf(parametersOf(asked.GetParameters()))
	if err != nil {
		return refused, err
	}
	var outputs []openinference.Output
	for _, one := range asked.GetOutputs() {
		if err := openinference.KnowsOutput(parametersOf(one.GetParameters())); err != nil {
			return refused, err
		}
		outputs = append(outputs, openinference.Output{Name: one.GetName(), Binary: true})
	}
	return openinference.Build(asked.GetId(), options, input, outputs)
}

// weight is what a message holds beside its picture, over all its fields: whoever repeats one gets no more into it.
type weight struct{ small, numbers int }

// bounded refuses a message that would take much more memory than it has bytes: only pictures may be large, and only there.
func bounded(raw []byte) error {
	var w weight
	if err := eachField(raw, w.ofMessage); err != nil {
		return err
	}
	if w.small > smallMost {
		return malformedf("Beside the picture the message has %d bytes.", w.small)
	}
	return nil
}

func (w *weight) ofMessage(number protowire.Number, content []byte) error {
	switch number {
	case rawField:
		return nil
	case inputsField:
		return eachField(content, w.ofInput)
	}
	w.small += len(content)
	return nil
}

func (w *weight) ofInput(number protowire.Number, content []byte) error {
	if number == contentsField {
		return eachField(content, w.ofContents)
	}
	w.small += len(content)
	return nil
}

func (w *weight) ofContents(number protowire.Number, content []byte) error {
	if number == uintsField {
		w.numbers += len(content)
	}
	if w.numbers > numbersMost || number != uintsField && number != bytesOfContents {
		return malformedf("contents may hold bytes_contents, or up to %d bytes of uint_contents: send tensors as raw_input_contents.", numbersMost)
	}
	return nil
}

// eachField visits the fields of a message, of which there may not be many. The content is without what tells its length.
func eachField(message []byte, visit func(protowire.Number, []byte) error) error {
	for fields := 0; len(message) > 0; fields++ {
		number, kind, head := protowire.ConsumeTag(message)
		if head < 0 || fields == fieldsMost {
			return malformedf("The message is damaged, or has more than %d fields.", fieldsMost)
		}
		length := protowire.ConsumeFieldValue(number, kind, message[head:])
		if length < 0 {
			return malformedf("The message is damaged.")
		}
		content := message[head : head+length]
		if kind == protowire.BytesType {
			content, _ = protowire.ConsumeBytes(content)
		}
		if err := visit(number, content); err != nil {
			return err
		}
		message = message[head+length:]
	}
	return nil
}

func inputOf(asked *wire.ModelInferRequest) (openinference.Input, error) {
	if len(asked.GetInputs()) != 1 || len(asked.GetRawInputContents()) > 1 {
		return openinference.Input{}, openinference.ErrOneInput
	}
	in := asked.GetInputs()[0]
	if err := openinference.KnowsInput(parametersOf(in.GetParameters())); err != nil {
		return openinference.Input{}, err
	}
	input := openinference.Input{Name: in.GetName(), Datatype: in.GetDatatype(), Shape: in.GetShape()}
	elements, numbers := in.GetContents().GetBytesContents(), in.GetContents().GetUintContents()
	given := len(asked.GetRawInputContents()) + len(elements) + min(len(numbers), 1)
	switch {
	case given != 1:
		return input, malformedf("The input %.64q has no data, or more than one kind of data.", in.GetName())
	case len(elements) == 1:
		return input.WithElement(elements[0]), nil
	case len(numbers) > 0:
		return withNumbers(input, numbers)
	}
	return input.WithRaw(asked.GetRawInputContents()[0])
}

func withNumbers(input openinference.Input, numbers []uint32) (openinference.Input, error) {
	small := make([]byte, len(numbers))
	for i, one := range numbers {
		if one > math.MaxUint8 {
			return input, malformedf("%d is not a number from 0 to 255.", one)
		}
		small[i] = byte(one)
	}
	return input.WithNumbers(small), nil
}

func parametersOf(given map[string]*wire.InferParameter) openinference.Parameters {
	read := openinference.Parameters{}
	for name, one := range given {
		switch value := one.GetParameterChoice().(type) {
		case *wire.InferParameter_BoolParam:
			read[name] = value.BoolParam
		case *wire.InferParameter_StringParam:
			read[name] = value.StringParam
		case *wire.InferParameter_Int64Param:
			read[name] = float64(value.Int64Param)
		case *wire.InferParameter_Uint64Param:
			read[name] = float64(value.Uint64Param)
		case *wire.InferParameter_DoubleParam:
			read[name] = value.DoubleParam
		default:
			read[name] = nil
		}
	}
	return read
}
