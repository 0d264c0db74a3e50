// SPDX-License-Identifier: Apache-2.0

package rawjson_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"visavis/capture/internal/rawjson"
)

// TestBase64IsReadAsTheStandardLibraryReadsIt: with any escapes, into other memory and into the text's own.
func TestBase64IsReadAsTheStandardLibraryReadsIt(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		picture := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(r, "picture")
		text := base64.StdEncoding.EncodeToString(picture)
		for _, change := range rapid.SliceOf(rapid.SampledFrom([][2]string{
			{"/", `\/`}, {"A", `\u0041`}, {"B", `\u0042\n`}, {"C", `C\r\n`}, {"D", `\t`}, {"E", `\u00e9`}, {"F", `\"`}, {"G", "="}, {"H", "ü"},
		})).Draw(r, "changes") {
			text = strings.ReplaceAll(text, change[0], change[1])
		}
		quoted := []byte(`"` + text + `"`)
		var want []byte
		wrong := json.Unmarshal(quoted, &want)
		for name, into := range map[string][]byte{"elsewhere": make([]byte, len(quoted)), "in place": quoted} {
			got, err := rawjson.Base64(into, quoted)
			if (err != nil) != (wrong != nil) || err == nil && !bytes.Equal(got, want) {
				r.Fatalf("%s, %q: %q, %v; want %q, %v", name, text, got, err, want, wrong)
			}
			quoted = []byte(`"` + text + `"`)
		}
	})
}

func TestTheMembersOfAnObjectAreVisited(t *testing.T) {
	for text, want := range map[string]string{
		`{}`: "", ` { "a" : "b\"}" , "c":1.5e3}`: `"a"="b\"}" "c"=1.5e3 `, `{"a":null}`: `"a"=null `, "{\"a\":\n1\n}": `"a"=1 `,
		`{"a":[]}`: "nested", `{"a":{}}`: "nested", `[]`: "none", `1`: "none", ``: "none",
	} {
		got := ""
		err := rawjson.Members([]byte(text), func(name, value []byte) error {
			got += string(name) + "=" + string(value) + " "
			return nil
		})
		if failed := want == "nested" || want == "none"; failed != (err != nil) || !failed && got != want {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
}
