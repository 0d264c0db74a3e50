// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"cmp"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// wishes are what the client wants back.
type wishes struct {
	picture   bool // a JPEG instead of JSON
	anonymize bool // with faces hidden instead of boxes drawn
	full      bool // looked at in its own size
}

func readWishes(r *http.Request) (wishes, error) {
	var wanted wishes
	query, err := readQuery(r.URL.RawQuery, "anonymize", "input")
	if err != nil {
		return wanted, err
	}
	switch value := query.Get("anonymize"); value {
	case "", "0":
	case "1":
		wanted.anonymize = true
	default:
		return wanted, badRequest("anonymize=%q: must be 0 or 1.", value)
	}
	switch value := query.Get("input"); value {
	case "":
	case "full":
		wanted.full = true
	default:
		return wanted, badRequest("input=%q: must be full, or left out for the size of detector.input.", value)
	}
	wanted.picture = wanted.anonymize || acceptsJPEG(strings.Join(r.Header.Values("Accept"), ","))
	return wanted, nil
}

// readQuery refuses what it does not know: who misspells anonymize would get faces, and take them for hidden ones.
func readQuery(raw string, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, badRequest("The query cannot be read: %v.", err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(known, name) {
			return nil, badRequest("There is no query parameter %q here; there are %s.", name, strings.Join(known, " and "))
		}
		if len(query[name]) > 1 {
			return nil, badRequest("The query parameter %s stands there %d times: give it once.", name, len(query[name]))
		}
	}
	return query, nil
}

// acceptsJPEG tells whether the client would rather have JPEG than JSON; of what it likes as much, what it names first (RFC 9110, 12.5.1).
func acceptsJPEG(accept string) (jpeg bool) {
	most := 0.0
	for one := range strings.SplitSeq(accept, ",") {
		name, parameters, err := mime.ParseMediaType(one)
		isJPEG := name == jpegType || name == "image/*"
		isJSON := name == jsonType || name == "application/*" || name == "*/*"
		if liked := quality(parameters["q"]); err == nil && (isJPEG || isJSON) && liked > most {
			most, jpeg = liked, isJPEG
		}
	}
	return jpeg
}

// quality is how much something is liked, from 0, which is not at all, to 1.
func quality(q string) float64 {
	liked, err := strconv.ParseFloat(cmp.Or(q, "1"), 64)
	if err != nil {
		return 0
	}
	return liked
}
