// SPDX-License-Identifier: Apache-2.0
// Code generated from contracts/note.toml by contracts/generate.py. DO NOT EDIT.

package engine

import "errors"

// File is where the note is, from the folder of the workers' socket.
const File = "notes/engine.json"

const (
	mostBytes = 8192  // bytes of the file; a longer one is not read
	beatMs    = 2000  // how often a running build renews its note
	staleMs   = 20000 // a note about a build that is older than this belongs to a build that was killed
)

// note is the file as somebody wrote it.
type note struct {
	Schema    int64  `json:"schema"`    // version of this file
	State     string `json:"state"`     // an engine is being built, or TensorRT cannot be used
	Model     string `json:"model"`     // the model's name
	Precision string `json:"precision"` // of the engine; empty while it is not known yet
	Percent   int64  `json:"percent"`   // how much of the build is done
	Phase     string `json:"phase"`     // what the builder is doing, in TensorRT's words
	BeganNs   int64  `json:"began_ns"`  // CLOCK_MONOTONIC when the build began or failed
	ToldNs    int64  `json:"told_ns"`   // CLOCK_MONOTONIC when this was written
	Error     string `json:"error"`     // why it failed, with the remedy; empty while the build runs
}

// check says which rules of the contract it breaks.
func (n note) check() error {
	return errors.Join(
		number("schema", n.Schema, 1, 1),
		choice("state", n.State, "building", "failed"),
		text("model", n.Model, 64),
		choice("precision", n.Precision, "", "fp16", "fp32", "int8"),
		number("percent", n.Percent, 0, 100),
		text("phase", n.Phase, 120),
		number("began_ns", n.BeganNs, 0, 9223372036854775807),
		number("told_ns", n.ToldNs, 0, 9223372036854775807),
		text("error", n.Error, 1000),
	)
}
