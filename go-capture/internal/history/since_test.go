// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/event"
)

// made is an event of a camera at a time, by its clock.
func made(ids *event.IDs, camera string, at time.Time) event.Event {
	return event.Event{Schema: 1, ID: ids.Next(at), Camera: camera, StartedAt: event.Time{Time: at}}
}

func since(t *testing.T, h *History, at time.Time, among ...string) (cameras string) {
	t.Helper()
	after, err := h.Since(context.Background(), at, among)
	if err != nil {
		t.Fatal(err)
	}
	page, err := h.Read(context.Background(), Query{After: after, Among: among, Limit: 10000})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range page.Entries {
		found = append(found, string(text(e.JSON, "camera")))
	}
	return strings.Join(found, " ")
}

func TestATimeHoldsAlsoBehindIdsOfAClockThatWasAhead(t *testing.T) {
	h, now := New(Settings{}), time.Now()
	ids := event.NewIDs()
	h.Append(made(ids, "before", now.Add(-time.Hour)))
	h.Append(made(ids, "before", now.Add(-50*time.Minute)))
	cut := made(ids, "cut", now.Add(-46*time.Minute)) // told at a start, of a visit that a kill cut off
	cut.StartedAt.Time = now.Add(-3 * time.Hour)
	h.Append(cut)
	h.Append(made(ids, "ahead", now.AddDate(40, 0, 0)))
	h.Append(made(ids, "older", now.Add(-30*time.Minute)))
	ended := made(ids, "ended", now.Add(-40*time.Minute))
	ended.EndedAt = &event.Time{Time: now.Add(-20 * time.Minute)}
	h.Append(ended)
	h.Append(made(ids, "now", now))
	for ago, want := range map[time.Duration]string{
		-41 * 365 * 24 * time.Hour: "",
		-time.Hour:                 "",
		time.Minute:                "now",
		25 * time.Minute:           "ended now",
		45 * time.Minute:           "older ended now",
		48 * time.Minute:           "cut ahead older ended now",
		55 * time.Minute:           "before cut ahead older ended now", // in their order
		2 * time.Hour:              "before before cut ahead older ended now",
	} {
		if got := since(t, h, now.Add(-ago)); got != want {
			t.Errorf("since %v ago: %q, want %q", ago, got, want)
		}
	}
}

func TestAnEventOfAClockThatStoodIsAsOldAsItsId(t *testing.T) {
	h, now := New(Settings{}), time.Now()
	ids := event.NewIDs()
	h.Append(made(ids, "before", now.Add(-time.Hour)))
	h.Append(made(ids, "stood", time.Unix(60, 0)))
	h.Append(made(ids, "now", now))
	if got := since(t, h, now.Add(-61*time.Minute)); got != "before stood now" {
		t.Errorf("%q", got)
	}
	if got := since(t, h, now.Add(-59*time.Minute)); got != "now" {
		t.Errorf("%q", got)
	}
}

func TestThePlaceOfATimeTellsNothingOfOtherCameras(t *testing.T) {
	h, now := New(Settings{Folder: t.TempDir()}), time.Now()
	h.Start()
	defer h.Close(context.Background())
	ids := event.NewIDs()
	first := made(ids, "ours", now.AddDate(40, 0, 0))
	h.Append(first)
	for range 2*sinceAtA + recentEvents {
		h.Append(made(ids, "ours", now.Add(-2*time.Hour)))
	}
	last := made(ids, "ours", now.Add(-90*time.Minute))
	h.Append(last)
	h.Append(made(ids, "theirs", now.Add(-80*time.Minute)))
	h.Append(made(ids, "ours", now))
	after, err := h.Since(context.Background(), now.Add(-time.Hour), []string{"ours"})
	if err != nil || after != last.ID {
		t.Errorf("%q, %v, want %q", after, err, last.ID)
	}
	if got := since(t, h, now.Add(-time.Hour)); got != "ours" {
		t.Errorf("%d events", 1+strings.Count(got, " "))
	}
}
