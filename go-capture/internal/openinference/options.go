// SPDX-License-Identifier: Apache-2.0

package openinference

import (
	"encoding/json"
	"time"
)

const (
	parametersMost = 4096 // bytes of one object of parameters in JSON
	// TimeoutMost is the longest timeout in microseconds: a day.
	TimeoutMost = 86_400_000_000
)

// Options are a request's own parameters.
type Options struct {
	Score        float64       // least score of a face, 0 = the device's
	Full         bool          // looked at in its own size
	Timeout      time.Duration // 0 = the device's deadline alone
	BinaryOutput bool          // of outputs that do not say it themselves
}

// Parameters are named values: text, truth or number (float64).
type Parameters map[string]any

// UnmarshalJSON reads an object that is not long, once: parameters are few, and each takes many times its text in memory.
func (p *Parameters) UnmarshalJSON(text []byte) error {
	if *p != nil {
		return malformedf("parameters stand there twice.")
	}
	if len(text) > parametersMost {
		return malformedf("parameters take %d bytes, and at most %d are read.", len(text), parametersMost)
	}
	return json.Unmarshal(text, (*map[string]any)(p))
}

// optionReaders name every parameter of a request that has a meaning here.
var optionReaders = map[string]func(*Options, any) error{
	"score":              func(o *Options, value any) error { return between(&o.Score, value, 0, 1, "score") },
	"timeout":            readTimeout,
	"input":              readInput,
	"binary_data_output": func(o *Options, value any) error { return truth(&o.BinaryOutput, value, "binary_data_output") },
}

// Parameters of tensors.
const (
	SizeParameter   = "binary_data_size" // how many bytes it has behind the JSON, of an input and in an answer
	BehindParameter = "binary_data"      // whether an output is wanted there
	HintParameter   = "content_type"     // what the data are meant for, as MLServer's own codecs say; it asks for nothing
)

// KnowsInput refuses parameters of an input that would have no effect, such as those of shared memory.
func KnowsInput(given Parameters) error { return only(SizeParameter, "an input", given) }

// KnowsOutput refuses parameters of an output that would have no effect, such as Triton's classification.
func KnowsOutput(given Parameters) error { return only(BehindParameter, "an output", given) }

func only(known, of string, given Parameters) error {
	for name := range given {
		if name != known && name != HintParameter {
			return malformedf("The parameter %.64q of %s has no meaning here; %s has.", name, of, known)
		}
	}
	return nil
}

// OptionsOf reads a request's parameters. One that it does not know is an error: a client that misspelt `score` would not notice.
func OptionsOf(p Parameters) (Options, error) {
	var o Options
	for name, value := range p {
		read, known := optionReaders[name]
		if !known {
			return o, malformedf("The parameter %.64q has no meaning here; score, input, timeout and binary_data_output have.", name)
		}
		if err := read(&o, value); err != nil {
			return o, err
		}
	}
	return o, nil
}

func between(into *float64, value any, least, most float64, name string) error {
	number, ok := value.(float64)
	if !ok || !(number >= least && number <= most) {
		return malformedf("%s is %.64v: it must be a number from %v to %v.", name, value, least, most)
	}
	*into = number
	return nil
}

func truth(into *bool, value any, name string) error {
	found, ok := value.(bool)
	if !ok {
		return malformedf("%s is %.64v: it must be true or false.", name, value)
	}
	*into = found
	return nil
}

// readTimeout takes microseconds, as Triton does; 0 sets none.
func readTimeout(o *Options, value any) error {
	var us float64
	if err := between(&us, value, 0, TimeoutMost, "timeout, in microseconds,"); err != nil {
		return err
	}
	o.Timeout = time.Duration(us) * time.Microsecond
	return nil
}

func readInput(o *Options, value any) error {
	if value != "full" {
		return malformedf("input is %.64v: it must be full, or left out for the size of detector.input.", value)
	}
	o.Full = true
	return nil
}
