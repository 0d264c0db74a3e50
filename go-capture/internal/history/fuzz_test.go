// SPDX-License-Identifier: Apache-2.0

package history

import (
	"bytes"
	"encoding/json"
	"testing"

	"visavis/capture/internal/zone"
)

// FuzzScan puts anything in front of, between and behind two sound lines: both are found, nothing else is an event, nothing panics.
func FuzzScan(f *testing.F) {
	f.Add([]byte(""), []byte("x\n"), []byte("1a2b3c4d {"))
	f.Add([]byte("00000000 \n"), []byte("\n\n"), []byte{0, 0xff})
	f.Add(bytes.Repeat([]byte("a"), mostLine+1), []byte(`00000000 {"id":"01JDG3ZQ3N8XKZ5T0V4W2Y6R1C"}`), []byte{})
	a := newAuthor()
	var sound [][]byte
	var want []string
	for range 2 {
		e := a.write(zone.Appeared, "door", "")
		written, err := json.Marshal(e)
		if err != nil {
			f.Fatal(err)
		}
		sound = append(sound, Entry{e.ID, written}.appendLine([]byte{'\n'}))
		want = append(want, e.ID)
	}
	f.Fuzz(func(t *testing.T, before, between, behind []byte) {
		text := bytes.Join([][]byte{before, sound[0], between, sound[1], behind}, nil)
		var got []string
		err := scan(bytes.NewReader(text), func(e Entry) bool {
			var read struct{ ID string }
			if err := json.Unmarshal(e.JSON, &read); err == nil && read.ID == e.ID && (e.ID == want[0] || e.ID == want[1]) {
				got = append(got, e.ID)
			}
			return true
		})
		if err != nil || len(got) < 2 || got[len(got)-1] != want[1] {
			t.Fatalf("%q: found %v, %v", text, got, err)
		}
	})
}

// FuzzUnfinished reads any file as a segment: nothing panics, and what is found can be told.
func FuzzUnfinished(f *testing.F) {
	a := newAuthor()
	written, err := json.Marshal(a.write(zone.Appeared, "door", "V"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(written)
	f.Add([]byte(`{"id":"01JDG3ZQ3N8XKZ5T0V4W2Y6R1C","type":"appeared","visit":"V","started_at":7}`))
	f.Fuzz(func(t *testing.T, written []byte) {
		line := Entry{JSON: written}.appendLine(nil)
		open := map[string][]Entry{}
		if err := scan(bytes.NewReader(line), func(e Entry) bool { follow(open, e); return true }); err != nil {
			t.Fatal(err)
		}
		_, _ = decoded(open) // an event that cannot be read is an error, never a panic
	})
}
