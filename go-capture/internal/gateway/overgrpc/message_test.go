// SPDX-License-Identifier: Apache-2.0

package overgrpc

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"visavis/capture/internal/openinference"
	"visavis/capture/internal/openinference/wire"
)

// asked is a request for a picture, changed.
func asked(t testing.TB, change func(*wire.ModelInferRequest)) []byte {
	t.Helper()
	request := &wire.ModelInferRequest{ModelName: "centerface", Id: "a", Inputs: []*wire.ModelInferRequest_InferInputTensor{{
		Name: "image", Datatype: "BYTES", Shape: []int64{1}, Contents: &wire.InferTensorContents{BytesContents: [][]byte{[]byte("photo")}}}}}
	change(request)
	raw, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestAPictureIsTakenOutOfItsMessage(t *testing.T) {
	for name, change := range map[string]func(*wire.ModelInferRequest){
		"contents": func(*wire.ModelInferRequest) {},
		"raw": func(r *wire.ModelInferRequest) {
			r.Inputs[0].Contents, r.RawInputContents = nil, [][]byte{[]byte("\x05\x00\x00\x00photo")}
		},
	} {
		call, err := callOf(asked(t, change))
		if err != nil || string(call.Request.Encoded) != "photo" || call.Model != "centerface" || call.Request.ID != "a" {
			t.Errorf("%s: %+v, %v", name, call, err)
		}
	}
	for name, change := range map[string]func(*wire.ModelInferRequest_InferInputTensor){
		"numbers": func(in *wire.ModelInferRequest_InferInputTensor) {
			in.Contents = &wire.InferTensorContents{UintContents: []uint32{1, 2, 255}}
		},
	} {
		call, err := callOf(asked(t, func(r *wire.ModelInferRequest) {
			r.Inputs[0].Name, r.Inputs[0].Datatype, r.Inputs[0].Shape = "pixels", "UINT8", []int64{1, 1, 1, 3}
			change(r.Inputs[0])
		}))
		if err != nil || string(call.Request.Pixels) != "\x01\x02\xff" {
			t.Errorf("%s: %+v, %v", name, call, err)
		}
	}
	call, err := callOf(asked(t, func(r *wire.ModelInferRequest) {
		r.Parameters = map[string]*wire.InferParameter{
			"score":   {ParameterChoice: &wire.InferParameter_DoubleParam{DoubleParam: 0.7}},
			"timeout": {ParameterChoice: &wire.InferParameter_Int64Param{Int64Param: 5000}},
			"input":   {ParameterChoice: &wire.InferParameter_StringParam{StringParam: "full"}},
		}
		r.Outputs = []*wire.ModelInferRequest_InferRequestedOutputTensor{{Name: "scores"}}
	}))
	want := openinference.Options{Score: 0.7, Full: true, Timeout: 5 * time.Millisecond}
	if err != nil || call.Request.Options != want || len(call.Request.Outputs) != 1 {
		t.Errorf("%+v, %v", call.Request, err)
	}
}

func TestHostileMessagesAreRefusedBeforeTheyAreTakenApart(t *testing.T) {
	many := make([]*wire.ModelInferRequest_InferInputTensor, 1000)
	for i := range many {
		many[i] = &wire.ModelInferRequest_InferInputTensor{}
	}
	for name, change := range map[string]func(*wire.ModelInferRequest){
		"no input":    func(r *wire.ModelInferRequest) { r.Inputs = nil },
		"no data":     func(r *wire.ModelInferRequest) { r.Inputs[0].Contents = nil },
		"two kinds":   func(r *wire.ModelInferRequest) { r.RawInputContents = [][]byte{[]byte("\x05\x00\x00\x00photo")} },
		"many inputs": func(r *wire.ModelInferRequest) { r.Inputs = many },
		"many raw":    func(r *wire.ModelInferRequest) { r.RawInputContents = make([][]byte, 1000) },
		"many elements": func(r *wire.ModelInferRequest) {
			r.Inputs[0].Contents.BytesContents = make([][]byte, 1000)
		},
		"numbers that become eight times as many bytes": func(r *wire.ModelInferRequest) {
			r.Inputs[0].Contents.Int64Contents = make([]int64, 10)
		},
		"millions of numbers": func(r *wire.ModelInferRequest) { r.Inputs[0].Contents.UintContents = make([]uint32, 2<<20) },
		"a long shape":        func(r *wire.ModelInferRequest) { r.Inputs[0].Shape = make([]int64, 100_000) },
		"a long name":         func(r *wire.ModelInferRequest) { r.ModelName = strings.Repeat("a", 100_000) },
		"256": func(r *wire.ModelInferRequest) {
			r.Inputs[0].Contents = &wire.InferTensorContents{UintContents: []uint32{256}}
		},
		"an unknown output": func(r *wire.ModelInferRequest) {
			r.Outputs = []*wire.ModelInferRequest_InferRequestedOutputTensor{{Name: "faces"}}
		},
		"a parameter without a value": func(r *wire.ModelInferRequest) {
			r.Parameters = map[string]*wire.InferParameter{"score": {}}
		},
		"a raw length that lies": func(r *wire.ModelInferRequest) {
			r.Inputs[0].Contents, r.RawInputContents = nil, [][]byte{[]byte("\xff\xff\xff\xffphoto")}
		},
	} {
		if _, err := callOf(asked(t, change)); !errors.Is(err, openinference.ErrMalformed) || len(err.Error()) > 400 {
			t.Errorf("%s: %v", name, err)
		} else if strings.HasPrefix(name, "many ") && !strings.Contains(err.Error(), "fields") {
			t.Errorf("%s is refused only when it has taken its memory: %v", name, err)
		}
	}
	for name, raw := range manyNumbers(t) {
		if _, err := callOf(raw); !errors.Is(err, openinference.ErrMalformed) || !strings.Contains(err.Error(), "uint_contents") {
			t.Errorf("millions of numbers in %s: %v", name, err)
		}
	}
	whole := asked(t, func(*wire.ModelInferRequest) {})
	if _, err := callOf(whole[:len(whole)-2]); !errors.Is(err, openinference.ErrMalformed) {
		t.Errorf("a message that is cut off: %v", err)
	}
}

// manyNumbers are messages with more numbers than there may be, which no field of them has by itself.
func manyNumbers(t *testing.T) map[string][]byte {
	field := func(number protowire.Number, content []byte, times int) []byte {
		return bytes.Repeat(protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), content), times)
	}
	numbers := make([]byte, numbersMost*3/4)
	once := field(uintsField, numbers, 1)
	return map[string][]byte{
		"two fields":   field(inputsField, field(contentsField, field(uintsField, numbers, 2), 1), 1),
		"two contents": field(inputsField, field(contentsField, once, 2), 1),
		"two inputs":   field(inputsField, field(contentsField, once, 1), 2),
	}
}

func TestARefusedMessageKeepsItsID(t *testing.T) {
	for name, change := range map[string]func(*wire.ModelInferRequest){
		"an unknown parameter": func(r *wire.ModelInferRequest) {
			r.Parameters = map[string]*wire.InferParameter{"scoer": {ParameterChoice: &wire.InferParameter_BoolParam{}}}
		},
		"an unknown output": func(r *wire.ModelInferRequest) {
			r.Outputs = []*wire.ModelInferRequest_InferRequestedOutputTensor{{Name: "faces"}}
		},
		"an output's unknown parameter": func(r *wire.ModelInferRequest) {
			r.Outputs = []*wire.ModelInferRequest_InferRequestedOutputTensor{{Name: "scores", Parameters: map[string]*wire.InferParameter{
				"classification": {ParameterChoice: &wire.InferParameter_Int64Param{Int64Param: 2}}}}}
		},
		"an input's unknown parameter": func(r *wire.ModelInferRequest) {
			r.Inputs[0].Parameters = map[string]*wire.InferParameter{
				"shared_memory_region": {ParameterChoice: &wire.InferParameter_StringParam{StringParam: "a"}}}
		},
		"no input":       func(r *wire.ModelInferRequest) { r.Inputs = nil },
		"a wrong tensor": func(r *wire.ModelInferRequest) { r.Inputs[0].Datatype = "FP32" },
	} {
		call, err := callOf(asked(t, change))
		if !errors.Is(err, openinference.ErrMalformed) || call.Request.ID != "a" {
			t.Errorf("%s: id %q, %v", name, call.Request.ID, err)
		}
	}
}

// FuzzCall: no message makes it fail otherwise than with a sentence, and what it lets through is one picture within the message.
func FuzzCall(f *testing.F) {
	f.Add(asked(f, func(*wire.ModelInferRequest) {}))
	f.Add(asked(f, func(r *wire.ModelInferRequest) {
		r.Inputs[0].Contents, r.RawInputContents = nil, [][]byte{[]byte("\x05\x00\x00\x00photo")}
		r.Parameters = map[string]*wire.InferParameter{"score": {ParameterChoice: &wire.InferParameter_DoubleParam{DoubleParam: 0.7}}}
		r.Outputs = []*wire.ModelInferRequest_InferRequestedOutputTensor{{Name: "scores"}}
	}))
	f.Add(asked(f, func(r *wire.ModelInferRequest) {
		r.Inputs[0] = &wire.ModelInferRequest_InferInputTensor{Name: "pixels", Datatype: "UINT8", Shape: []int64{1, 1, 1, 3},
			Contents: &wire.InferTensorContents{UintContents: []uint32{1, 2, 3}}}
	}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		call, err := callOf(raw)
		if err != nil {
			if !errors.Is(err, openinference.ErrMalformed) {
				t.Fatalf("%v", err)
			}
			return
		}
		r := call.Request
		if (r.Encoded == nil) == (r.Pixels == nil) || len(r.Encoded)+len(r.Pixels) > len(raw) || len(r.Pixels) != 3*r.Width*r.Height {
			t.Fatalf("%d and %d bytes of %d, %dx%d", len(r.Encoded), len(r.Pixels), len(raw), r.Width, r.Height)
		}
	})
}
