// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"slices"
	"strconv"
	"testing"
)

// FuzzParse takes any name and payload: what is understood is told again in the same meaning, everything else is refused with a reason.
func FuzzParse(f *testing.F) {
	for _, seed := range [][2]string{
		{Detect, On}, {Enabled, Off}, {Privacy, "blur"}, {Score, "0.5"}, {Score, "1.000"}, {Snapshot, Press},
		{Score, "1e9"}, {Score, "NaN"}, {"set/" + Detect, On}, {"", ""}, {Privacy, "none\x00"},
	} {
		f.Add(seed[0], []byte(seed[1]))
	}
	f.Fuzz(func(t *testing.T, name string, payload []byte) {
		o, err := Parse(name, payload)
		if err != nil {
			if why := (Refusal{}); !errors.As(err, &why) || why.Reason == "" {
				t.Fatalf("%v is no refusal", err)
			}
			return
		}
		text := State{}.with(o).Text(name)
		fine := map[string]bool{
			Detect: text == string(payload), Enabled: text == string(payload),
			Privacy:  text == string(payload) && slices.Contains(Privacies, text),
			Snapshot: string(payload) == Press, Score: sameNumber(text, string(payload)) && o.Score >= 0 && o.Score <= 1,
		}
		if !fine[name] {
			t.Fatalf("%q %q is understood as %+v", name, payload, o)
		}
	})
}

func sameNumber(a, b string) bool {
	x, wrong := strconv.ParseFloat(a, 64)
	y, alsoWrong := strconv.ParseFloat(b, 64)
	return wrong == nil && alsoWrong == nil && x == y
}
