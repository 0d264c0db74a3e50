// SPDX-License-Identifier: Apache-2.0

package ring

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const vectorsFolder = "../../../contracts/vectors"

// codec is what every message and memory layout offers.
type codec interface {
	Put(b []byte)
	Decode(b []byte) error
}

var layouts = map[string]func() codec{
	"header": func() codec { return &Header{} }, "slot_header": func() codec { return &SlotHeader{} },
	"hello": func() codec { return &Hello{} }, "welcome": func() codec { return &Welcome{} },
	"refuse": func() codec { return &Refuse{} }, "ring_add": func() codec { return &RingAdd{} },
	"ring_retire": func() codec { return &RingRetire{} }, "frame": func() codec { return &Frame{} },
	"result": func() codec { return &Result{} }, "credit": func() codec { return &Credit{} },
	"server_state": func() codec { return &ServerState{} },
}

type vector struct {
	Struct string          `json:"struct"`
	Values json.RawMessage `json:"values"`
	Tail   []Detection     `json:"tail"`
}

func readVectors(t *testing.T) map[string]vector {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(vectorsFolder, "*.json"))
	if err != nil || len(paths) <= len(layouts) {
		t.Fatalf("vectors in %s: %d found, %v; run `make gen`", vectorsFolder, len(paths), err)
	}
	all := map[string]vector{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var v vector
		strictly(t, text, &v)
		all[strings.TrimSuffix(path, ".json")] = v
	}
	return all
}

func strictly(t *testing.T, text []byte, into any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

func TestAVectorMeansWhatItsJSONSaysAndEncodesBackToTheSameBytes(t *testing.T) {
	for stem, v := range readVectors(t) {
		t.Run(filepath.Base(stem), func(t *testing.T) {
			raw, err := os.ReadFile(stem + ".bin")
			if err != nil {
				t.Fatal(err)
			}
			have, want := layouts[v.Struct](), layouts[v.Struct]()
			if err := have.Decode(raw); err != nil {
				t.Fatal(err)
			}
			strictly(t, v.Values, want)
			sameFields(t, have, want)
			again := make([]byte, len(raw))
			have.Put(again)
			for i, f := range v.Tail {
				f.Put(again[ResultBytes+i*DetectionBytes:])
			}
			if !bytes.Equal(again, raw) {
				t.Errorf("encoded\n%x, want\n%x", again, raw)
			}
		})
	}
}

// sameFields compares field by field so that a failure names the field.
func sameFields(t *testing.T, have, want codec) {
	t.Helper()
	h, w := reflect.ValueOf(have).Elem(), reflect.ValueOf(want).Elem()
	for i := range h.NumField() {
		if name := h.Type().Field(i).Name; name != "_" && !reflect.DeepEqual(h.Field(i).Interface(), w.Field(i).Interface()) {
			t.Errorf("%s is %v, want %v", name, h.Field(i), w.Field(i))
		}
	}
}

func TestDetectionsDecodeFieldByField(t *testing.T) {
	seen := 0
	for stem, v := range readVectors(t) {
		for i, want := range v.Tail {
			raw, err := os.ReadFile(stem + ".bin")
			if err != nil {
				t.Fatal(err)
			}
			var have Detection
			have.Get(raw[ResultBytes+i*DetectionBytes:])
			if have != want {
				t.Errorf("%s detection %d is %+v, want %+v", stem, i, have, want)
			}
			seen++
		}
	}
	if seen != 2 {
		t.Errorf("%d detections compared, want 2", seen)
	}
}

func TestAWrongLengthOrTypeIsRefused(t *testing.T) {
	for stem, v := range readVectors(t) {
		raw, err := os.ReadFile(stem + ".bin")
		if err != nil {
			t.Fatal(err)
		}
		wrongType := append([]byte{0xff, 0xff}, raw[2:]...)
		for name, wrong := range map[string][]byte{"longer": append(bytes.Clone(raw), 0), "shorter": raw[:len(raw)-1], "type": wrongType} {
			isMemory := v.Struct == "header" || v.Struct == "slot_header"
			if isMemory && name != "shorter" {
				continue
			}
			if layouts[v.Struct]().Decode(wrong) == nil {
				t.Errorf("%s %s was accepted", v.Struct, name)
			}
		}
	}
}

func TestTextIsCutAtAWholeCharacter(t *testing.T) {
	var text Text32
	text.Set(strings.Repeat("x", 31) + "é")
	if text.String() != strings.Repeat("x", 31) {
		t.Errorf("got %q", text.String())
	}
}
