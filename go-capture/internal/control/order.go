// SPDX-License-Identifier: Apache-2.0

// Package control is what may be changed at a camera while it runs: which orders there are, who may give how many of them, and what
// is remembered of them over a restart.
package control

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"visavis/capture/internal/showing"
)

// Names of orders, and of the states that they change.
const (
	Enabled  = "enabled"  // the camera is read at all
	Detect   = "detect"   // faces are looked for
	Privacy  = "privacy"  // what viewers see of a face
	Score    = "score"    // the least of a face that is told
	Snapshot = "snapshot" // a picture is sent, nothing changes
)

// States are the names of what is set at a camera and told beside each command.
var States = []string{Enabled, Detect, Privacy, Score}

// The words of switches, and of the one button.
const (
	On    = "ON"
	Off   = "OFF"
	Press = "press"
)

// payloadMost is more than the longest payload that says anything.
const payloadMost = 20

// Privacies are all that there are, the one that hides the least last.
var Privacies = []string{showing.PrivacyPixelate, showing.PrivacyBlur, showing.PrivacyNone}

// plainNumber has no sign, no exponent and no words such as NaN.
var plainNumber = regexp.MustCompile(`^(0(\.[0-9]{1,18})?|1(\.0{1,18})?)$`)

// Order is one command that was understood: its name, and the field that goes with it.
type Order struct {
	Name    string
	On      bool    // of enabled and detect
	Privacy string  // one of Privacies
	Score   float64 // 0..1
}

// Refusal says why an order is not obeyed. Reason is one of few words, for counting.
type Refusal struct{ Reason, Text string }

// Error implements error.
func (r Refusal) Error() string { return r.Text }

// Parse understands exactly the payloads of docs/reference/mqtt.md; anything else is a Refusal.
func Parse(name string, payload []byte) (Order, error) {
	if len(payload) > payloadMost {
		return Order{}, Refusal{"malformed", fmt.Sprintf("%d bytes: an order has at most %d", len(payload), payloadMost)}
	}
	read, known := readers[name]
	if !known {
		return Order{}, Refusal{"unknown", "no such order: there are enabled, detect, privacy, score and snapshot"}
	}
	order, fine := read(string(payload))
	if !fine {
		return Order{}, Refusal{"malformed", fmt.Sprintf("%s takes %s", name, wanted[name])}
	}
	order.Name = name
	return order, nil
}

var wanted = map[string]string{
	Enabled: "ON or OFF", Detect: "ON or OFF", Privacy: "pixelate, blur or none", Score: "a number from 0 to 1", Snapshot: "press",
}

var readers = map[string]func(string) (Order, bool){
	Enabled: readSwitch, Detect: readSwitch,
	Privacy:  func(s string) (Order, bool) { return Order{Privacy: s}, slices.Contains(Privacies, s) },
	Score:    readScore,
	Snapshot: func(s string) (Order, bool) { return Order{}, s == Press },
}

func readSwitch(s string) (Order, bool) { return Order{On: s == On}, s == On || s == Off }

func readScore(s string) (Order, bool) {
	if !plainNumber.MatchString(s) {
		return Order{}, false
	}
	score, err := strconv.ParseFloat(s, 64)
	return Order{Score: score}, err == nil
}
