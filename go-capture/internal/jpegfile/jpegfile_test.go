// SPDX-License-Identifier: Apache-2.0

package jpegfile_test

import (
	"bytes"
	"image"
	"image/jpeg"
	"strings"
	"testing"

	"visavis/capture/internal/jpegfile"
)

func encoded(t testing.TB) []byte {
	t.Helper()
	var body bytes.Buffer
	if err := jpeg.Encode(&body, image.NewYCbCr(image.Rect(0, 0, 40, 24), image.YCbCrSubsampleRatio420), nil); err != nil {
		t.Fatal(err)
	}
	return body.Bytes()
}

func TestAPictureEndsWhereItSaysSo(t *testing.T) {
	whole := encoded(t)
	within := append([]byte("\xff\xd8\xff\xfe\x00\x06\xff\xd9\xff\xda"), whole[2:]...)
	between := append([]byte("\xff\xd8?\xff\x00\xff\xff\xff\xd3"), whole[2:]...)
	for name, c := range map[string]struct {
		body []byte
		end  int
	}{
		"alone":                      {whole, len(whole)},
		"with padding":               {append(bytes.Clone(whole), 0, 0), len(whole)},
		"with a second end":          {append(bytes.Clone(whole), 0xff, 0xd9), len(whole)},
		"with another picture":       {append(bytes.Clone(whole), whole...), len(whole)},
		"an end within a comment":    {within, len(within)},
		"something between segments": {between, len(between)},
		"cut off":                    {whole[:len(whole)-1], -1},
		"cut in a segment":           {whole[:30], -1},
		"a marker alone":             {whole[:3], -1},
		"nothing":                    {nil, -1},
		"a length of one":            {[]byte("\xff\xd8\xff\xfe\x00\x01\xff\xd9"), -1},
	} {
		if end := jpegfile.End(c.body); end != c.end {
			t.Errorf("%s ends at %d, want %d", name, end, c.end)
		}
	}
}

func TestTheSegmentsOfAPictureFollowEachOther(t *testing.T) {
	body := append([]byte("\xff\xd8\xff\xff\xfe\x00\x05say"), encoded(t)[2:]...)
	var said strings.Builder
	end := 2
	for s := range jpegfile.Segments(body) {
		if s.At != end {
			t.Errorf("segment %x begins at %d, the one before ends at %d", s.Marker, s.At, end)
		}
		if end = s.End; s.Marker == jpegfile.COM {
			said.Write(s.Content(body))
		}
	}
	if end != len(body) || said.String() != "say" {
		t.Errorf("they end at %d of %d, and the comment is %q", end, len(body), said.String())
	}
}

func FuzzSegments(f *testing.F) {
	whole := encoded(f)
	for _, seed := range [][]byte{whole, whole[:40], []byte("\xff\xd8\xff\x00\xff\xff\xda\x00\x02\xff\xd0\xff\xd9"), nil} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		end := 2
		for s := range jpegfile.Segments(body) {
			if s.At < end || s.End <= s.At || s.End > len(body) || body[s.At] != 0xFF || body[s.At+1] != s.Marker || s.Marker == 0 {
				t.Fatalf("segment %x from %d to %d of %d bytes, behind %d", s.Marker, s.At, s.End, len(body), end)
			}
			if end = s.End; len(s.Content(body)) > s.End-s.At {
				t.Fatal("a content is longer than its segment")
			}
		}
	})
}
