// SPDX-License-Identifier: Apache-2.0

package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"visavis/capture/internal/event"
	"visavis/capture/internal/state"
)

// Unfinished are the events of the visits that never ended, in order: those of a daemon that was killed. Call it
// before the first Append. What can be read is returned beside an error, too; nothing while no end of them could be kept: each start
// would end them again.
func (h *History) Unfinished() ([]event.Event, error) {
	h.mu.Lock()
	segments := slices.Clone(h.segments)
	h.mu.Unlock()
	open, after := map[string][]Entry{}, ""
	for _, s := range segments {
		err := scanReadable(h.settings.Folder, s, func(e Entry) bool {
			if e.ID > after {
				after = e.ID
				follow(open, e)
			}
			return true
		})
		if err != nil {
			return nil, fmt.Errorf("look for visits that did not end: %w", err)
		}
	}
	if len(open) > 0 {
		if err := h.hasRoom(); err != nil {
			return nil, fmt.Errorf("keep the end of visits: %w", err)
		}
	}
	return decoded(open)
}

// hasRoom tries whether the disk takes anything.
func (h *History) hasRoom() error {
	trial := filepath.Join(h.settings.Folder, "trial")
	return errors.Join(state.Replace(trial, make([]byte, blockBytes)), state.Remove(trial))
}

// follow keeps the events of a visit until it ends. One whose beginning is no longer kept was too long ago.
func follow(open map[string][]Entry, e Entry) {
	visit, kind := string(text(e.JSON, "visit")), string(text(e.JSON, "type"))
	_, known := open[visit]
	switch {
	case kind == "gone":
		delete(open, visit)
	case kind == "appeared" || known:
		open[visit] = append(open[visit], Entry{e.ID, slices.Clone(e.JSON)})
	}
}

func decoded(open map[string][]Entry) ([]event.Event, error) {
	var events []event.Event
	var failed error
	for _, entries := range open {
		for _, entry := range entries {
			var e event.Event
			if err := json.Unmarshal(entry.JSON, &e); err != nil {
				failed = fmt.Errorf("the event %s of the history cannot be read: %w", entry.ID, err)
				continue
			}
			events = append(events, e)
		}
	}
	slices.SortFunc(events, func(a, b event.Event) int { return strings.Compare(a.ID, b.ID) })
	return events, failed
}
