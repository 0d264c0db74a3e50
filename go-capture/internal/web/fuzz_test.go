// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"visavis/capture/internal/history"
)

// FuzzViewerQuery: what is taken keeps the limits that /openapi.json names.
func FuzzViewerQuery(f *testing.F) {
	for _, query := range []string{"", "fps=0.1&width=16&boxes=1&ahead=8", "fps=NaN", "width=1e2", "boxes=0x1p-2", "fps=%zz", "width=16&width=a;b"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/", nil)
		r.URL.RawQuery = query
		values, err := queryOf(r)
		if err != nil {
			return
		}
		ahead, aheadErr := aheadParameter.read(values)
		if aheadErr == nil && ahead != 0 && (ahead < 1 || ahead > 8) {
			t.Errorf("%q: %v ahead", query, ahead)
		}
		v, err := readViewer(values)
		if err != nil {
			return
		}
		if v.look.width != 0 && (v.look.width < 16 || v.look.width > 3840) || v.intervalNs < 0 || v.intervalNs > 10e9 {
			t.Errorf("%q: %+v every %d ns", query, v.look, v.intervalNs)
		}
	})
}

// FuzzEventsQuery: what is taken asks for a bounded page, and the link to the next page asks for the same.
func FuzzEventsQuery(f *testing.F) {
	for _, query := range []string{"", "since=0&limit=1000", "since=01JDG3ZQ3N8XKZ5T0V4W2Y6R1C&camera=door&type=gone", "since=1969-12-31T23:59:59%2B14:00", "type=", "since=9999-12-31T23:59:59Z", "since=2026-11-24T21:00:00+01:00"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, _ := url.ParseQuery(query)
		asked, from, err := readEventsQuery(values)
		if err != nil {
			return
		}
		if asked.Limit < 1 || asked.Limit > eventsMost || strings.ContainsAny(asked.After+asked.Camera+asked.Type, "\r\n/\"<>\x00") {
			t.Fatalf("%q: %+v", query, asked)
		}
		link, err := url.Parse(nextLink(asked, history.Page{}))
		if err != nil {
			t.Fatal(err)
		}
		if !from.IsZero() && (asked.After != "" || from.UnixMilli() < 0) {
			t.Fatalf("%q: %+v from %v", query, asked, from)
		}
		if asked.After == "" {
			asked.After = fromTheStart
		}
		if next, _, err := readEventsQuery(link.Query()); err != nil || next.After != asked.After || next.Camera != asked.Camera || next.Type != asked.Type || next.Limit != asked.Limit {
			t.Fatalf("%q: %+v goes on with %+v, %v", query, asked, next, err)
		}
	})
}
