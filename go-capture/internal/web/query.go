// SPDX-License-Identifier: Apache-2.0

package web

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
)

// parameter is one query parameter; its range is in /openapi.json and in the refusal of a bad value.
type parameter struct {
	name        string
	description string
	kind        string // JSON Schema type
	least, most float64
}

var (
	fpsParameter       = parameter{"fps", "Most frames per second; without it every inferred frame", "number", 0.1, 120}
	widthParameter     = parameter{"width", "Width in pixels; the height follows. Never wider than the camera's own", "integer", 16, 3840}
	boxesParameter     = parameter{"boxes", "1 draws the faces' boxes", "integer", 0, 1}
	aheadParameter     = parameter{"ahead", "Most pictures under way; each message of the viewer makes room for one. Without it nobody waits", "integer", 1, 8}
	liveParameters     = []parameter{fpsParameter, widthParameter, boxesParameter, aheadParameter}
	streamParameters   = []parameter{fpsParameter, widthParameter, boxesParameter}
	snapshotParameters = []parameter{widthParameter, boxesParameter}
)

// read returns the parameter's value, or 0 when the query does not have it, or has it empty as forms send it.
func (p parameter) read(query url.Values) (float64, error) {
	text := query.Get(p.name)
	if text == "" {
		return 0, nil
	}
	value, err := strconv.ParseFloat(text, 64)
	whole := p.kind != "integer" || value == math.Trunc(value)
	if err != nil || !whole || !(value >= p.least && value <= p.most) {
		return 0, refusal{Status: http.StatusBadRequest, Title: "A query parameter has a bad value",
			Detail: fmt.Sprintf("%s=%q: must be %s from %v to %v.", p.name, text, withArticle(p.kind), p.least, p.most)}
	}
	return value, nil
}

func withArticle(kind string) string {
	if kind == "integer" {
		return "an integer"
	}
	return "a " + kind
}

// queryOf is the query of a request. What a browser or a proxy adds to it, such as a number against caches, does no harm; what cannot be
// read would be left out without a word.
func queryOf(r *http.Request) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refusal{Status: http.StatusBadRequest, Title: "The query cannot be read", Detail: err.Error()}
	}
	return query, nil
}

// look is what a viewer asks to see. Viewers with the same look share one encode.
type look struct {
	width int // pixels, 0 = the picture's own
	boxes bool
}

func readLook(query url.Values) (look, error) {
	width, err := widthParameter.read(query)
	if err != nil {
		return look{}, err
	}
	boxes, err := boxesParameter.read(query)
	return look{width: int(width), boxes: boxes == 1}, err
}
