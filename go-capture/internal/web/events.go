// SPDX-License-Identifier: Apache-2.0

package web

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"visavis/capture/internal/auth"
	"visavis/capture/internal/history"
	"visavis/capture/internal/problem"
	"visavis/capture/internal/zone"
)

// Events is where the recent events are kept; history.History is one.
type Events interface {
	// Read returns a page of them.
	Read(ctx context.Context, q history.Query) (history.Page, error)
	// Since is the place behind which events are read that were made at a time or later at these cameras; nil = every camera.
	Since(ctx context.Context, at time.Time, among []string) (after string, err error)
	// Last is the id of the newest one, "" if there is none.
	Last() string
	// Changed is closed when the next one comes.
	Changed() <-chan struct{}
}

const (
	eventsUsual  = 100
	eventsMost   = 1000
	fromTheStart = "0" // below every id
	idLetters    = 26
)

var (
	limitParameter = parameter{"limit", "Most events of one answer; without it 100", "integer", 1, eventsMost}
	eventTypes     = []zone.Kind{zone.Appeared, zone.Entered, zone.Crossed, zone.Left, zone.Gone}
)

// eventsAnswer is one page. The events are those of MQTT, byte for byte.
type eventsAnswer struct {
	Events []json.RawMessage `json:"events"`
	Next   string            `json:"next"` // where what follows is read, now or later
	More   bool              `json:"more"` // there is more already
}

// events answers with a page of the recent past, or follows it as a stream of server-sent events.
func (s *Server) events(w http.ResponseWriter, r *http.Request) error {
	wanted, err := s.wantedEvents(r)
	if err != nil {
		return err
	}
	w.Header().Set("Vary", "Accept")
	w.Header().Set("Cache-Control", "no-store")
	if strings.Contains(r.Header.Get("Accept"), eventStreamType) {
		return s.followEvents(w, r, wanted)
	}
	page, err := s.settings.Events.Read(r.Context(), wanted)
	if err != nil {
		return err
	}
	answer := eventsAnswer{Events: []json.RawMessage{}, More: page.More, Next: nextLink(wanted, page)}
	for _, e := range page.Entries {
		answer.Events = append(answer.Events, e.JSON)
	}
	if page.More {
		w.Header().Set("Link", fmt.Sprintf(`<%s>; rel="next"`, answer.Next))
	}
	problem.WriteJSON(w, r, problem.Answer{ContentType: jsonType, Status: http.StatusOK, Body: answer})
	return nil
}

// wantedEvents is what the query asks for, of what its sender may see.
func (s *Server) wantedEvents(r *http.Request) (history.Query, error) {
	query, err := queryOf(r)
	if err != nil {
		return history.Query{}, err
	}
	wanted, from, err := readEventsQuery(query)
	if err != nil {
		return wanted, err
	}
	if who := s.visitorOf(r); !who.SeesAll() {
		wanted.Among = append([]string{}, who.Cameras()...) // never nil, which is every camera
	}
	switch {
	case !from.IsZero():
		wanted.After, err = s.settings.Events.Since(r.Context(), from, wanted.Among)
	case len(wanted.After) == idLetters && wanted.Among == nil:
		wanted.After = min(wanted.After, s.lastEvent()) // a later one is of a history that was lost, or of a clock that was ahead
	}
	return wanted, err
}

// nextLink is where what follows a page is read.
func nextLink(q history.Query, page history.Page) string {
	query := url.Values{"since": {behind(q, page)}, "limit": {strconv.Itoa(q.Limit)}}
	for name, value := range map[string]string{"camera": q.Camera, "type": q.Type} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return "/api/v1/events?" + query.Encode()
}

// lastEvent is the place behind all that has happened.
func (s *Server) lastEvent() string { return max(s.settings.Events.Last(), fromTheStart) }

// behind is the place behind all that was looked at for a page, whether it fitted or not; before the first event, that of all. For who
// may not see every camera it is behind what was given: an id would tell when something happened at the others. A page that is not full
// was looked for up to the end, so nothing is given twice or left out; the next one looks through the others' events again.
func behind(q history.Query, page history.Page) string {
	seen := page.Seen
	if q.Among != nil {
		seen = newestOf(page.Entries)
	}
	return cmp.Or(max(q.After, seen), fromTheStart)
}

func newestOf(given []history.Entry) (id string) {
	for _, e := range given {
		id = e.ID
	}
	return id
}

// readEventsQuery tells what is wanted, and from which time on where it names one.
func readEventsQuery(query url.Values) (q history.Query, from time.Time, err error) {
	limit, err := limitParameter.read(query)
	if err != nil {
		return q, from, err
	}
	after, from, err := readSince(query)
	if err != nil {
		return q, from, err
	}
	q = history.Query{After: after, Camera: query.Get("camera"), Type: query.Get("type"), Limit: eventsUsual}
	if limit > 0 {
		q.Limit = int(limit)
	}
	if q.Camera != "" && !auth.CameraID.MatchString(q.Camera) {
		return q, from, badQuery("camera", q.Camera, "the id of a camera; those that are gone may be asked for, too")
	}
	if q.Type != "" && !slices.Contains(eventTypes, zone.Kind(q.Type)) {
		return q, from, badQuery("type", q.Type, fmt.Sprintf("one of %v", eventTypes))
	}
	return q, from, nil
}

// since is the id of an event, or the ten characters of one that are its time, or 0.
//
// Each begins with 0 until 3084: ten digits that do not are the seconds of a Unix clock.
var since = regexp.MustCompile(`^(0|0[0-9A-HJKMNP-TV-Z]{9}([0-9A-HJKMNP-TV-Z]{16})?)$`)

// readSince takes the id of an event, or a time. A "+" in a query is a blank.
func readSince(query url.Values) (after string, from time.Time, err error) {
	text := query.Get("since")
	if text == "" || since.MatchString(text) {
		return text, from, nil
	}
	at, err := time.Parse(time.RFC3339, strings.Replace(text, " ", "+", 1))
	switch {
	case err != nil:
		return "", from, badQuery("since", text, "the id of an event, a time such as 2026-11-24T20:00:00Z (date -u +%FT%TZ), or 0 for all")
	case at.UnixMilli() < 0:
		return fromTheStart, from, nil // nothing is that old
	}
	return "", at, nil
}

func badQuery(name, value, must string) error {
	return refusal{Status: http.StatusBadRequest, Title: "A query parameter has a bad value",
		Detail: fmt.Sprintf("%s=%q: must be %s.", name, value, must)}
}
