// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// kind is the type of a setting; lists come after single values.
type kind int

const (
	kindString kind = iota
	kindInt
	kindFloat
	kindBool
	kindStrings
	kindSize
	kindPoint
	kindPolygon
	kindPolygons
	kindZones
	kindLines
)

var kindWords = [...]struct{ words, sample string }{
	kindString: {"a string", `"text"`}, kindInt: {"a whole number", "1"}, kindFloat: {"a number", "0.5"},
	kindBool: {"true or false", "true"}, kindStrings: {"a list of strings", `["one", "two"]`},
	kindSize:     {"width and height", "[640, 480]"},
	kindPoint:    {"a point [x, y]", "[0.1, 0.2]"},
	kindPolygon:  {"three or more corners", "[[0.1, 0.2], [0.9, 0.2], [0.9, 0.9]]"},
	kindPolygons: {"a list of polygons", "[[[0.1, 0.2], [0.9, 0.2], [0.9, 0.9]]]"},
	kindZones:    {"a list of zones", `[{ name = "step", polygon = [[0.1, 0.2], [0.9, 0.2], [0.9, 0.9]] }]`},
	kindLines:    {"a list of lines", `[{ name = "gate", start = [0.5, 1.0], end = [0.5, 0.0] }]`},
}

// isList tells whether the value is written as a list.
func (k kind) isList() bool { return k >= kindStrings }

func (k kind) words() string  { return kindWords[k].words }
func (k kind) sample() string { return kindWords[k].sample }

// rule is what a value must be.
type rule struct {
	name     string
	kind     kind
	format   string // a name in formats
	pattern  string
	says     string // pattern in words
	choices  []any
	limits   *[2]float64 // both included
	filled   string      // what a text that may not be empty says for example; "" for one that may
	required bool
	secret   bool // it names a file whose content is secret
}

// key is a rule and the field that gets the value.
type key[T any] struct {
	rule
	set func(into *T, value any)
}

// refusal says why a value is not taken and what to write instead; nil when it is taken.
type refusal struct{ reason, remedy string }

func refuse(remedy, reason string, values ...any) *refusal {
	return &refusal{reason: fmt.Sprintf(reason, values...), remedy: remedy}
}

// scalar checks a single value and returns it in its Go type.
func (r rule) scalar(value any) (any, *refusal) {
	switch made := value.(type) {
	case string:
		if r.kind == kindString || r.kind == kindStrings {
			return made, r.text(made)
		}
	case bool:
		if r.kind == kindBool {
			return made, nil
		}
	case int64:
		return r.whole(made)
	case float64:
		if r.real() {
			return made, r.within(made)
		}
	}
	return nil, r.wrongKind(value)
}

func (r rule) whole(value int64) (any, *refusal) {
	switch {
	case r.kind == kindInt, r.kind == kindSize:
		if bad := r.within(float64(value)); bad != nil {
			return nil, bad
		}
		return int(value), r.chosen(int(value))
	case r.real():
		return float64(value), r.within(float64(value))
	}
	return nil, r.wrongKind(value)
}

// real tells whether the value, or each number in it, may have a fraction.
func (r rule) real() bool {
	return slices.Contains([]kind{kindFloat, kindPoint, kindPolygon, kindPolygons}, r.kind)
}

func (r rule) wrongKind(value any) *refusal {
	return refuse("write for example "+r.kind.sample(), "must be %s, not %s", r.kind.words(), written(value))
}

func (r rule) within(value float64) *refusal {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return refuse("write a number such as 0.5", "%v is not a finite number", value)
	}
	if r.limits != nil && (value < r.limits[0] || value > r.limits[1]) {
		return refuse("choose a value in that range", "%s is outside %s to %s", plain(value), plain(r.limits[0]), plain(r.limits[1]))
	}
	return nil
}

// plain writes a number without an exponent.
func plain(value float64) string { return strconv.FormatFloat(value, 'f', -1, 64) }

func (r rule) chosen(value any) *refusal {
	if len(r.choices) == 0 || slices.ContainsFunc(r.choices, func(one any) bool { return reflect.DeepEqual(one, value) }) {
		return nil
	}
	words := make([]string, len(r.choices))
	for i, choice := range r.choices {
		words[i] = written(choice)
	}
	return refuse("choose one of "+strings.Join(words, ", "), "%s is not possible", written(value))
}

func (r rule) text(value string) *refusal {
	if value == "" && r.filled != "" {
		return r.empty()
	}
	if r.pattern != "" && !regexp.MustCompile(r.pattern).MatchString(value) {
		return refuse("write "+r.says, "%s is not allowed", written(value))
	}
	if bad := r.chosen(value); bad != nil {
		return bad
	}
	if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return refuse("leave them out", "%s holds control characters", written(value))
	}
	if check := formats[r.format]; check != nil && value != "" {
		return check(value)
	}
	return nil
}

func (r rule) empty() *refusal {
	remedy := "write for example " + strconv.Quote(r.filled)
	if !r.required {
		remedy += ", or leave it out"
	}
	return refuse(remedy, "is empty")
}

// written shows a value as a person would write it, and not more of it than a line bears.
func written(value any) string {
	shown := fmt.Sprint(value)
	switch made := value.(type) {
	case string:
		shown = strconv.Quote(made)
	case map[string]any:
		shown = "a table"
	case []any:
		shown = "a list"
	}
	if runes := []rune(shown); len(runes) > 80 {
		shown = string(runes[:80]) + "…"
	}
	return shown
}
