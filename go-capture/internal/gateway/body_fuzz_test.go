// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"testing"
)

// FuzzJSONBody: JSON gives a picture of a known type and a score from 0 to 1, or a refusal, and holds no memory afterwards.
func FuzzJSONBody(f *testing.F) {
	for _, text := range []string{
		`{"image":"/9j/4AAQ","score":0.5}`, `{"image":"iVBORw0KGgo=","score":null}`, `{"image":"","score":1e999}`, `{"IMAGE":"AA==","image":[]}`,
		`{"image":"AA==","more":1}`, `{"image":"/9j/"}{}`, `[[[[`, "\xff\xfe",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		const room, most = 4 << 20, 1 << 20
		bodies := newBudget(room)
		b := &body{share: bodies.of(sender{}), contentType: jsonType}
		err := b.read(bytes.NewReader(text), most)
		if err == nil {
			err = b.unwrap()
		}
		if err == nil && (typeOf(b.bytes) != b.contentType || b.contentType == "" || !(b.score >= 0 && b.score <= 1)) {
			t.Errorf("%d bytes of %q, score %v", len(b.bytes), b.contentType, b.score)
		}
		if err != nil && len(text) <= most && !slices.Contains([]int{http.StatusBadRequest, http.StatusUnprocessableEntity}, refusalOf(err).Status) {
			t.Errorf("%d: %v", refusalOf(err).Status, err)
		}
		b.release()
		if bodies.free != room {
			t.Error("not everything is back")
		}
	})
}

// FuzzWishes: whatever is asked for, it is a wish that is known or a refusal, and nobody gets a picture without asking for one.
func FuzzWishes(f *testing.F) {
	f.Add("anonymize=1&input=full", "image/jpeg")
	f.Add("anonymize=0", "text/html, application/json;q=0.9, image/*")
	f.Add("anonymize=2&input=%00", "*/*")
	f.Fuzz(func(t *testing.T, query, accept string) {
		asked, err := readWishes(&http.Request{URL: &url.URL{RawQuery: query}, Header: http.Header{"Accept": {accept}}})
		if err != nil {
			if refusalOf(err).Status != http.StatusBadRequest {
				t.Errorf("%q: %v", query, err)
			}
			return
		}
		if asked.picture && !asked.anonymize && !bytes.Contains([]byte(accept), []byte("image/")) {
			t.Errorf("%q, %q: a picture", query, accept)
		}
	})
}
