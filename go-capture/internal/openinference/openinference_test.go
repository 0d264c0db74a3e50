// SPDX-License-Identifier: Apache-2.0

package openinference_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/openinference"
)

var photo = []byte("\xff\xd8\xff a picture")

// inJSON is a request whose one input holds the photo in base64, with more keys of the request behind it.
func inJSON(more string) string {
	return fmt.Sprintf(`{"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["%s"]}]%s}`,
		base64.StdEncoding.EncodeToString(photo), more)
}

// behind is a request whose one input stands behind the JSON.
func behind(name, datatype, shape string, size int, tail []byte) (body []byte, header int) {
	text := fmt.Sprintf(`{"inputs": [{"name": "%s", "datatype": "%s", "shape": %s, "parameters": {"binary_data_size": %d}}]}`, name, datatype, shape, size)
	return append([]byte(text), tail...), len(text)
}

func element(content []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(content))), content...)
}

func TestAPictureComesInBase64OrAsBytes(t *testing.T) {
	body, header := behind("image", "BYTES", "[1, 1]", 4+len(photo), element(photo))
	for name, c := range map[string]struct {
		body   []byte
		header int
	}{
		"base64":                          {[]byte(inJSON("")), -1},
		"escaped slashes":                 {[]byte(strings.ReplaceAll(inJSON(""), "/9j", `\/9j`)), -1},
		"a nested list":                   {[]byte(strings.Replace(strings.Replace(inJSON(""), `"data": [`, `"data": [[`, 1), `"]}`, `"]]}`, 1)), -1},
		"bytes":                           {body, header},
		"a header that is the whole body": {[]byte(inJSON("")), len(inJSON(""))},
	} {
		r, err := openinference.Parse(c.body, c.header)
		if err != nil || !bytes.Equal(r.Encoded, photo) || r.Pixels != nil {
			t.Errorf("%s: %q, %v", name, r.Encoded, err)
		}
		if len(r.Outputs) != 3 || r.Outputs[0].Binary {
			t.Errorf("%s: outputs %v", name, r.Outputs)
		}
	}
}

func TestPixelsComeAsNumbersOrAsBytes(t *testing.T) {
	pixels := []byte{0, 1, 2, 253, 254, 255}
	nested := `{"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 1, 2, 3], "data": [[[[0, 1, 2], [253,254 ,255]]]]}]}`
	flat := `{"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1, 2, 3], "data": [0,1,2,253,254,255]}]}`
	body, header := behind("pixels", "UINT8", "[1, 1, 2, 3]", 6, pixels)
	for name, c := range map[string]struct {
		body   []byte
		header int
	}{"nested": {[]byte(nested), -1}, "flat": {[]byte(flat), -1}, "bytes": {body, header}} {
		r, err := openinference.Parse(c.body, c.header)
		if err != nil || !bytes.Equal(r.Pixels, pixels) || r.Width != 2 || r.Height != 1 || r.Encoded != nil {
			t.Errorf("%s: %v of %dx%d, %v", name, r.Pixels, r.Width, r.Height, err)
		}
	}
}

func TestParametersAndOutputsAreTheClients(t *testing.T) {
	r, err := openinference.Parse([]byte(inJSON(`, "id": "shop-17", "parameters": {"score": 0.7, "timeout": 1500, "input": "full", "binary_data_output": true},
		"outputs": [{"name": "scores", "parameters": {"content_type": "np"}}, {"name": "boxes", "parameters": {"binary_data": false}}]`)), -1)
	if err != nil {
		t.Fatal(err)
	}
	want := openinference.Options{Score: 0.7, Full: true, Timeout: 1500 * time.Microsecond, BinaryOutput: true}
	if r.Options != want || r.ID != "shop-17" {
		t.Errorf("%+v, id %q", r.Options, r.ID)
	}
	if fmt.Sprint(r.Outputs) != "[{scores true} {boxes false}]" {
		t.Errorf("outputs %v", r.Outputs)
	}
}

func TestWhatIsNotOfTheProtocolIsRefusedWithASentence(t *testing.T) {
	picture := func(from, to string) []byte { return []byte(strings.Replace(inJSON(""), from, to, 1)) }
	pixels := func(shape, data string) []byte {
		return []byte(`{"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": ` + shape + `, "data": ` + data + `}]}`)
	}
	lying, lyingHeader := behind("image", "BYTES", "[1]", 500, element(photo))
	longer := element(photo)
	longer[0]++
	prefix, prefixHeader := behind("image", "BYTES", "[1]", len(longer), longer)
	short, shortHeader := behind("image", "BYTES", "[1]", 3, []byte{1, 0, 0})
	huge, hugeHeader := behind("pixels", "UINT8", "[1, 2147483647, 2147483647, 3]", 6, make([]byte, 6))
	overflow, overflowHeader := behind("pixels", "UINT8", "[1, 6148914691236517206, 1, 3]", 2, make([]byte, 2))
	for name, c := range map[string]struct {
		body   []byte
		header int
		says   string
	}{
		"nothing":                   {nil, -1, "JSON"},
		"a picture":                 {photo, -1, "JSON"},
		"no input":                  {[]byte(`{"inputs": []}`), -1, "one input"},
		"null":                      {[]byte(`null`), -1, "one input"},
		"two inputs":                {[]byte(`{"inputs": [{}, {}]}`), -1, "one input"},
		"two pictures":              {picture(`[1]`, `[2]`), -1, "one input"},
		"two elements":              {picture(`"data": [`, `"data": ["aaaa", `), -1, "one input"},
		"another name":              {picture(`"image"`, `"input_0"`), -1, `"input_0"`},
		"another type":              {picture(`BYTES`, `FP32`), -1, `FP32`},
		"no data":                   {picture(`"data"`, `"date"`), -1, "no data"},
		"no base64":                 {picture(`["`, `["*`), -1, "base64"},
		"a null":                    {pixels(`[1,1,3]`, `[null, 0, 0]`), -1, "0 to 255"},
		"a list of lists":           {pixels(`[1,1,3]`, `[[],[]]`), -1, "no data"},
		"256":                       {pixels(`[1,1,3]`, `[0, 256, 0]`), -1, "256"},
		"a fraction":                {pixels(`[1,1,3]`, `[0, 1.5, 0]`), -1, "1.5"},
		"a negative number":         {pixels(`[1,1,3]`, `[0, -1, 0]`), -1, "0 to 255"},
		"numbers and text":          {pixels(`[1,1,3]`, `["aaaa", 0, 0]`), -1, "one input"},
		"text for pixels":           {pixels(`[1,1,3]`, `["aaaa"]`), -1, "3 for each"},
		"numbers for a picture":     {picture(`"data": ["`, `"data": [1, 2], "no": ["`), -1, "base64"},
		"too few pixels":            {pixels(`[1,2,2,3]`, `[0,0,0]`), -1, "3 for each"},
		"no height":                 {pixels(`[1,0,1,3]`, `[0,0,0]`), -1, "shape"},
		"a negative height":         {pixels(`[1,-1,-1,3]`, `[0,0,0]`), -1, "shape"},
		"four channels":             {pixels(`[1,1,1,4]`, `[0,0,0,0]`), -1, "shape"},
		"a long shape":              {pixels(`[`+strings.Repeat("1,", 200)+`1]`, `[0,0,0]`), -1, "shape"},
		"the largest shape":         {huge, hugeHeader, "3 for each"},
		"a shape that overflows":    {overflow, overflowHeader, "shape"},
		"a header beyond the body":  {photo, 500, "500"},
		"a header of megabytes":     {make([]byte, 2<<20), 1 << 20, "1048576"},
		"a size that lies":          {lying, lyingHeader, "binary_data_size"},
		"a length that lies":        {prefix, prefixHeader, "length in front"},
		"bytes without a length":    {short, shortHeader, "length in front"},
		"bytes for nobody":          {append([]byte(inJSON("")), 1), len(inJSON("")), "behind the JSON"},
		"data twice":                {picture(`"shape"`, `"parameters": {"binary_data_size": 0}, "shape"`), -1, "both"},
		"an output's other one":     {[]byte(inJSON(`, "outputs": [{"name": "scores", "parameters": {"classification": 2}}]`)), -1, "classification"},
		"an input's other one":      {picture(`"shape"`, `"parameters": {"shared_memory_region": "a"}, "shape"`), -1, "shared_memory_region"},
		"an unknown parameter":      {[]byte(inJSON(`, "parameters": {"scor": 0.5}`)), -1, `"scor"`},
		"a score as text":           {[]byte(inJSON(`, "parameters": {"score": "0.5"}`)), -1, "score"},
		"a score of 2":              {[]byte(inJSON(`, "parameters": {"score": 2}`)), -1, "score"},
		"a timeout below 0":         {[]byte(inJSON(`, "parameters": {"timeout": -1}`)), -1, "timeout"},
		"another input size":        {[]byte(inJSON(`, "parameters": {"input": "half"}`)), -1, "full"},
		"long parameters":           {[]byte(inJSON(`, "parameters": {"a": "` + strings.Repeat("a", 5000) + `"}`)), -1, "4096"},
		"an unknown output":         {[]byte(inJSON(`, "outputs": [{"name": "faces"}]`)), -1, `"faces"`},
		"no output":                 {[]byte(inJSON(`, "outputs": [null]`)), -1, "no output"},
		"an input beside null":      {[]byte(`{"inputs": [{}, null]}`), -1, "one input"},
		"data without a list":       {pixels(`[1,1,3]`, `0`), -1, "list"},
		"four outputs":              {[]byte(inJSON(`, "outputs": [{}, {}, {}, {}]`)), -1, "3 outputs"},
		"binary_data that is no":    {[]byte(inJSON(`, "outputs": [{"name": "boxes", "parameters": {"binary_data": "no"}}]`)), -1, "binary_data"},
		"an id of a thousand bytes": {[]byte(inJSON(`, "id": "` + strings.Repeat("a", 1000) + `"`)), -1, "id"},
	} {
		_, err := openinference.Parse(c.body, c.header)
		if !errors.Is(err, openinference.ErrMalformed) || !strings.Contains(err.Error(), c.says) || len(err.Error()) > 300 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A body of many small things must not become many large ones.
func TestHostileListsTakeNoMemory(t *testing.T) {
	const size = 1 << 19
	for name, body := range map[string]string{
		"inputs":           `{"inputs": [` + strings.Repeat(`{},`, size/3) + `{}]}`,
		"outputs":          `{"outputs": [` + strings.Repeat(`{},`, size/3) + `{}]}`,
		"a shape":          `{"inputs": [{"shape": [` + strings.Repeat(`0,`, size/2) + `0]}]}`,
		"parameters":       `{"parameters": {"a": [` + strings.Repeat(`[],`, size/3) + `[]]}}`,
		"many parameters":  `{` + strings.Repeat(`"parameters": {"a": [`+strings.Repeat(`{},`, 1000)+`{}]}, `, size/3000) + `"id": ""}`,
		"of an input":      `{"inputs": [{` + strings.Repeat(`"parameters": {"a": [`+strings.Repeat(`{},`, 1000)+`{}]}, `, size/3000) + `"name": ""}]}`,
		"many inputs":      `{` + strings.Repeat(`"inputs": [{"parameters": {"a": [`+strings.Repeat(`{},`, 1000)+`{}]}}], `, size/3000) + `"id": ""}`,
		"data":             `{"inputs": [{"data": [` + strings.Repeat(`[],`, size/3) + `[]]}]}`,
		"what is not read": `{"more": [` + strings.Repeat(`{"a":1},`, size/8) + `0]}`,
	} {
		var before, after runtime.MemStats
		text := []byte(body)
		runtime.ReadMemStats(&before)
		_, err := openinference.Parse(text, -1)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; err == nil || grown > size/2 {
			t.Errorf("%s: %d bytes for %d, %v", name, grown, len(text), err)
		}
	}
}

// As much is counted for it as the text has, once more.
func TestAPictureInBase64TakesNoMoreMemoryThanItsText(t *testing.T) {
	picture := bytes.Repeat([]byte("\xff"), 2<<20) // slashes, in base64
	text := base64.StdEncoding.EncodeToString(picture)
	for name, image := range map[string]string{"as it is": text, "escaped": strings.ReplaceAll(text, "/", `\/`)} {
		var before, after runtime.MemStats
		body := []byte(`{"inputs": [{"name": "image", "datatype": "BYTES", "shape": [1], "data": ["` + image + `"]}]}`)
		runtime.ReadMemStats(&before)
		r, err := openinference.Parse(body, -1)
		runtime.ReadMemStats(&after)
		if grown := int(after.TotalAlloc - before.TotalAlloc); err != nil || !bytes.Equal(r.Encoded, picture) || grown > len(body)+1<<18 {
			t.Errorf("%s: %d bytes for %d, %v", name, grown, len(body), err)
		}
	}
}

func TestFacesGoBackAsTensors(t *testing.T) {
	faces := []openinference.Face{{Box: [4]float64{1, 2, 3, 4}, Score: 0.75, Landmarks: [][2]float64{{1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 10}}}, {Score: 0.5}}
	r, err := openinference.Parse([]byte(inJSON(`, "id": "a", "outputs": [{"name": "landmarks"}, {"name": "scores", "parameters": {"binary_data": true}}, {"name": "boxes"}]`)), -1)
	if err != nil {
		t.Fatal(err)
	}
	body, header, err := r.Answer("centerface", faces)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"model_name":"centerface","model_version":"1","id":"a","outputs":[` +
		`{"name":"landmarks","datatype":"FP32","shape":[2,5,2],"data":[1,2,3,4,5,6,7,8,9,10,null,null,null,null,null,null,null,null,null,null]},` +
		`{"name":"scores","datatype":"FP32","shape":[2],"parameters":{"binary_data_size":8}},` +
		`{"name":"boxes","datatype":"FP32","shape":[2,4],"data":[1,2,3,4,0,0,0,0]}]}`
	if got := string(body[:header]); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	tail := body[header:]
	if len(tail) != 8 || math.Float32frombits(binary.LittleEndian.Uint32(tail)) != 0.75 || math.Float32frombits(binary.LittleEndian.Uint32(tail[4:])) != 0.5 {
		t.Errorf("behind the JSON stands %v", tail)
	}
}

func TestNoFaceIsATensorWithoutRows(t *testing.T) {
	for _, more := range []string{"", `, "parameters": {"binary_data_output": true}`} {
		r, err := openinference.Parse([]byte(inJSON(more)), -1)
		if err != nil {
			t.Fatal(err)
		}
		body, header, err := r.Answer("centerface", nil)
		if err != nil || !strings.Contains(string(body), `"shape":[0,4]`) || (header == len(body)) != (more != "") {
			t.Errorf("%s, header %d, %v", body, header, err)
		}
	}
}

func TestEachModelHasTheSameTensors(t *testing.T) {
	text, err := json.Marshal(openinference.MetadataOf("yunet"))
	const want = `{"name":"yunet","versions":["1"],"platform":"visavis_faces",` +
		`"inputs":[{"name":"image","datatype":"BYTES","shape":[1]},{"name":"pixels","datatype":"UINT8","shape":[1,-1,-1,3]}],` +
		`"outputs":[{"name":"boxes","datatype":"FP32","shape":[-1,4]},{"name":"scores","datatype":"FP32","shape":[-1]},` +
		`{"name":"landmarks","datatype":"FP32","shape":[-1,5,2]}]}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}

// FuzzParse: no body makes Parse fail otherwise than with a sentence, and what it lets through is one picture within the body.
func FuzzParse(f *testing.F) {
	body, header := behind("image", "BYTES", "[1]", 4+len(photo), element(photo))
	f.Add(body, header)
	body, header = behind("pixels", "UINT8", "[1,1,2,3]", 6, make([]byte, 6))
	f.Add(body, header)
	f.Add([]byte(inJSON(`, "id": "a", "parameters": {"score": 0.7, "timeout": 5, "input": "full"}, "outputs": [{"name": "boxes"}]`)), -1)
	f.Add([]byte(`{"inputs": [{"name": "pixels", "datatype": "UINT8", "shape": [1,1,3], "data": [[[1, 2, 3]]]}]}`), -1)
	f.Fuzz(func(t *testing.T, body []byte, header int) {
		r, err := openinference.Parse(body, header)
		if err != nil {
			if !errors.Is(err, openinference.ErrMalformed) || len(err.Error()) > 1000 {
				t.Fatalf("%v", err)
			}
			return
		}
		if (r.Encoded == nil) == (r.Pixels == nil) || len(r.Encoded) > len(body) || len(r.Pixels) != 3*r.Width*r.Height || len(r.Pixels) > len(body) {
			t.Fatalf("%d and %d bytes of %d, %dx%d", len(r.Encoded), len(r.Pixels), len(body), r.Width, r.Height)
		}
		answer, jsonBytes, err := r.Answer("m", make([]openinference.Face, 2))
		if err != nil || jsonBytes > len(answer) || len(r.Outputs) < 1 || len(r.Outputs) > 3 {
			t.Fatalf("%d of %d bytes, %v", jsonBytes, len(answer), err)
		}
	})
}
