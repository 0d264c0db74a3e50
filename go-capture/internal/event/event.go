// SPDX-License-Identifier: Apache-2.0

// Package event says what happened to faces, in the form that is sent and kept.
//
// Durations come from the monotonic clock; times of day are what the wall clock said when the visit began, or since it was set. A clock that
// jumps in between moves the times of day, and bends no duration.
package event

import (
	"encoding/json"
	"time"

	"visavis/capture/internal/geometry"
	"visavis/capture/internal/track"
	"visavis/capture/internal/zone"
)

const schemaVersion = 1

// Event is one thing that happened to one face; its JSON is contracts/schemas/event.schema.json.
type Event struct {
	Schema    int            `json:"schema"` // 1
	Type      zone.Kind      `json:"type"`
	ID        string         `json:"id"`    // a ULID: rises on one device, the same however often the event is sent
	Visit     string         `json:"visit"` // a ULID: the same for all events of one face from appeared to gone
	Camera    string         `json:"camera"`
	Track     uint64         `json:"track"`
	Zone      string         `json:"zone,omitempty"`
	Line      string         `json:"line,omitempty"`
	Direction zone.Direction `json:"direction,omitempty"`
	StartedAt Time           `json:"started_at"`
	EndedAt   *Time          `json:"ended_at,omitempty"`
	DwellMs   *int64         `json:"dwell_ms,omitempty"`
	CutOff    bool           `json:"cut_off,omitempty"` // the daemon was killed: EndedAt is when the visit was last told of
	Best      Best           `json:"best"`
	Thumbnail string         `json:"thumbnail,omitempty"` // path of a picture of the visit; "" if there is none
}

// Best is the surest box of the face so far.
type Best struct {
	Box   [4]float64 `json:"box"` // x, y, width, height in pixels of the picture
	Score float64    `json:"score"`
}

// Time is a time of day, in UTC and whole milliseconds.
type Time struct{ time.Time }

const timeFormat = "2006-01-02T15:04:05.000Z"

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) { return json.Marshal(t.UTC().Format(timeFormat)) }

// UnmarshalJSON implements json.Unmarshaler.
func (t *Time) UnmarshalJSON(text []byte) error {
	var written string
	if err := json.Unmarshal(text, &written); err != nil {
		return err
	}
	read, err := time.Parse(timeFormat, written)
	t.Time = read
	return err
}

func bestOf(b track.Box) Best {
	return Best{
		Box:   geometry.Box{X: b.X, Y: b.Y, W: b.W, H: b.H}.Tenths(),
		Score: min(max(geometry.Round(float64(b.Score), 1000), 0), 1),
	}
}

// ThumbnailPath is where the page's server shows the picture of an event.
func ThumbnailPath(id string) string { return "/api/v1/events/" + id + "/thumbnail.jpg" }
