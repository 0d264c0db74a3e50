// SPDX-License-Identifier: Apache-2.0

package history

import (
	"bytes"
	"context"
	"fmt"
	"slices"
)

// Query is what somebody wants to read.
type Query struct {
	After  string   // ids above this one, the oldest first; "" wants the newest ones
	Camera string   // "" = every camera
	Among  []string // only these cameras; nil = every camera
	Type   string   // "" = every type
	Limit  int      // at least 1
}

// Page is a part of the past. Ids rise.
type Page struct {
	Entries []Entry
	More    bool   // there are newer ones that fit the query
	Seen    string // every event up to this id was looked at, whether it fits or not; "" if there was none
}

// Read returns up to q.Limit events. It fails when the disk cannot be read, or when ctx ends while others read.
func (h *History) Read(ctx context.Context, q Query) (Page, error) {
	h.mu.Lock()
	recent, segments, last := slices.Clone(h.recent), slices.Clone(h.segments), h.last
	h.mu.Unlock()
	below := "~" // above every id
	if len(recent) > 0 {
		below = recent[0].ID
	}
	r := reading{query: q, folder: h.settings.Folder, below: below, last: last}
	if q.After == "" {
		return h.waitForDisk(ctx, len(r.fitting(recent)) < q.Limit, func() (Page, error) { return r.newest(segments, recent) })
	}
	return h.waitForDisk(ctx, q.After < below, func() (Page, error) { return r.following(segments, recent) })
}

// waitForDisk lets few read the disk at once: each goes through all of it at worst.
func (h *History) waitForDisk(ctx context.Context, needed bool, read func() (Page, error)) (Page, error) {
	if !needed {
		return read()
	}
	select {
	case h.readers <- struct{}{}:
		defer func() { <-h.readers }()
		return read()
	case <-ctx.Done():
		return Page{}, ctx.Err()
	}
}

// reading is one query under way. What was found from `below` on does not count on disk.
type reading struct {
	query  Query
	folder string
	below  string
	last   string // id of the newest event there is
}

func (r *reading) fits(e Entry) bool {
	return r.isAmong(e) && fitsText(e.JSON, "camera", r.query.Camera) && fitsText(e.JSON, "type", r.query.Type)
}

func (r *reading) isAmong(e Entry) bool {
	return r.query.Among == nil ||
		slices.ContainsFunc(r.query.Among, func(camera string) bool { return camera != "" && fitsText(e.JSON, "camera", camera) })
}

func fitsText(json []byte, key, wanted string) bool {
	return wanted == "" || bytes.Contains(json, []byte(`"`+key+`":"`+wanted+`"`))
}

// fitting are the entries above query.After that the query wants.
func (r *reading) fitting(entries []Entry) []Entry {
	var fit []Entry
	for _, e := range entries {
		if e.ID > r.query.After && r.fits(e) {
			fit = append(fit, e)
		}
	}
	return fit
}

// following reads on from query.After: disk first, then memory.
func (r *reading) following(segments []segment, recent []Entry) (Page, error) {
	var found []Entry
	after := r.query.After
	for _, s := range holding(segments, after) {
		if max(s.first, after) >= r.below || len(found) > r.query.Limit {
			break
		}
		err := scanReadable(r.folder, s, func(e Entry) bool {
			if e.ID > after && e.ID < r.below {
				after = e.ID
				found = r.kept(found, e)
			}
			return len(found) <= r.query.Limit
		})
		if err != nil {
			return Page{}, fmt.Errorf("read the history: %w", err)
		}
	}
	if len(found) <= r.query.Limit {
		found = append(found, r.fitting(recent)...)
	}
	if len(found) <= r.query.Limit {
		return Page{Entries: found, Seen: max(r.query.After, r.last)}, nil
	}
	found = found[:r.query.Limit]
	return Page{Entries: found, More: true, Seen: found[len(found)-1].ID}, nil
}

// kept adds a copy of an entry that the query wants.
func (r *reading) kept(to []Entry, e Entry) []Entry {
	if !r.fits(e) {
		return to
	}
	return append(to, Entry{e.ID, bytes.Clone(e.JSON)})
}

// newest reads the end of the past: memory first, then one segment after another backwards.
func (r *reading) newest(segments []segment, recent []Entry) (Page, error) {
	found := r.fitting(recent)
	for _, s := range slices.Backward(segments) {
		if len(found) >= r.query.Limit {
			break
		}
		older, err := r.newestOf(s)
		if err != nil {
			return Page{}, fmt.Errorf("read the history: %w", err)
		}
		found = append(older, found...)
	}
	return Page{Entries: found[max(len(found)-r.query.Limit, 0):], Seen: r.last}, nil
}

// newestOf are the newest entries of a segment, at most as many as are wanted. What is in it does not count in older ones: a full disk
// may have left some of it there, too.
func (r *reading) newestOf(s segment) ([]Entry, error) {
	var found []Entry
	after, below := "", r.below
	err := scanReadable(r.folder, s, func(e Entry) bool {
		if e.ID > after && e.ID < below {
			after, r.below = e.ID, min(r.below, e.ID)
			found = r.kept(found, e)
		}
		if len(found) >= 2*r.query.Limit {
			found = append(found[:0], found[len(found)-r.query.Limit:]...)
		}
		return true
	})
	return found[max(len(found)-r.query.Limit, 0):], err
}
