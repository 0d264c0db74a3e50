// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Who misspells anonymize would get plain faces.
func TestAQueryThatIsNotUnderstoodIsRefused(t *testing.T) {
	for query, words := range map[string]string{
		"anonymise=1":             `no query parameter "anonymise" here; there are anonymize and input`,
		"Anonymize=1":             `no query parameter "Anonymize"`,
		"anonymize=1;input=full":  "cannot be read",
		"anonymize=0&anonymize=1": "anonymize stands there 2 times",
		"anonymize=%zz":           "cannot be read",
		"anonymize=yes":           "must be 0 or 1",
	} {
		_, err := readWishes(httptest.NewRequest(http.MethodPost, "/api/v1/detect?"+query, nil))
		if err == nil || refusalOf(err).Status != http.StatusBadRequest || !strings.Contains(refusalOf(err).Detail, words) {
			t.Errorf("%s: %v, want %q", query, err, words)
		}
	}
	if wanted, err := readWishes(httptest.NewRequest(http.MethodPost, "/api/v1/detect?input=full&anonymize=1", nil)); err != nil || !wanted.anonymize || !wanted.full {
		t.Errorf("%+v, %v", wanted, err)
	}
}

func TestAPictureIsForWhoLikesItMoreThanJSON(t *testing.T) {
	for accept, jpeg := range map[string]bool{
		"":           false,
		"image/jpeg": true, "Image/JPEG": true, "image/*": true, "*/*": false, "text/html, image/*": true,
		"image/jpeg, application/json": true, "application/json, image/jpeg": false,
		"application/json;q=0.5, image/jpeg": true, "image/jpeg;q=0.5, application/json": false,
		"image/jpeg;q=0": false, "image/jpeg;q=much, */*;q=0.1": false,
	} {
		if got := acceptsJPEG(accept); got != jpeg {
			t.Errorf("%q: %t", accept, got)
		}
	}
}
