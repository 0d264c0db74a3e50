// SPDX-License-Identifier: Apache-2.0

package history

import (
	"context"
	"time"

	"github.com/oklog/ulid/v2"
)

const (
	timeDigits = 10          // of an id
	aheadMost  = time.Minute // of the clock, which may have been set back a little
	sinceAtA   = 1000        // events are looked through at a time
)

// Since is the place behind which the events are read that were made at a time or later, for who may see these cameras; nil = every
// camera. An id begins with the time at which its event was made, so mostly that is the beginning of an id. But ids that began with a
// clock that was far ahead go on above that for good. They are in order all the same: so there the place is before the first event that
// says of itself that it is of that time.
func (h *History) Since(ctx context.Context, at time.Time, among []string) (after string, err error) {
	after = idAt(at)
	latest := h.wall().Add(aheadMost)
	if last := h.Last(); last == "" || !madeAt(last).After(latest) {
		return after, nil
	}
	isSince := func(e Entry) bool {
		told := toldAt(e)
		return !madeAt(e.ID).After(latest) || !told.Before(at) && !told.After(latest)
	}
	for {
		page, err := h.Read(ctx, Query{After: after, Among: among, Limit: sinceAtA})
		if err != nil {
			return "", err
		}
		for _, e := range page.Entries {
			if isSince(e) {
				return after, nil
			}
			after = e.ID
		}
		if !page.More {
			return after, nil
		}
	}
}

// idAt is the beginning of the ids of a time, up to the year 10889.
func idAt(at time.Time) string {
	var first ulid.ULID
	_ = first.SetTime(min(uint64(max(at.UnixMilli(), 0)), ulid.MaxTime())) // which is the only way to fail
	return first.String()[:timeDigits]
}

// toldAt is the newest time that an event names: about that at which it was made, by the clock of then.
func toldAt(e Entry) time.Time {
	for _, key := range []string{"ended_at", "started_at"} {
		if told, err := time.Parse(time.RFC3339, string(text(e.JSON, key))); err == nil {
			return told
		}
	}
	return time.Time{}
}
