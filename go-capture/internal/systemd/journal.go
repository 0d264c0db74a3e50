// SPDX-License-Identifier: Apache-2.0

package systemd

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
)

// Journal hands log records to the journal with their attributes as fields: camera=door becomes VISAVIS_CAMERA=door, and a message
// that the catalogue explains gets its MESSAGE_ID.
type Journal struct {
	attributes []slog.Attr
	send       func(message string, priority journal.Priority, fields map[string]string) error
}

// NewJournal returns a handler for the journal, or nil when stderr does not lead there.
func NewJournal() *Journal {
	if here, err := journal.StderrIsJournalStream(); err != nil || !here {
		return nil // a terminal or a file: text is what is wanted there
	}
	return &Journal{send: journal.Send}
}

// Enabled is slog's: debugging stays out.
func (j *Journal) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle is slog's.
func (j *Journal) Handle(_ context.Context, record slog.Record) error {
	fields := map[string]string{}
	if id, known := messageIDs[record.Message]; known {
		fields["MESSAGE_ID"] = id
	}
	words := record.Message
	note := func(a slog.Attr) bool {
		value := fmt.Sprint(a.Value.Resolve().Any())
		fields[fieldName(a.Key)] = value
		words += " " + a.Key + "=" + quoted(value)
		return true
	}
	for _, a := range j.attributes {
		note(a)
	}
	record.Attrs(note)
	return j.send(words, priorityOf(record.Level), fields)
}

// WithAttrs is slog's.
func (j *Journal) WithAttrs(more []slog.Attr) slog.Handler {
	return &Journal{attributes: append(append([]slog.Attr{}, j.attributes...), more...), send: j.send}
}

// WithGroup is slog's; nothing here groups.
func (j *Journal) WithGroup(string) slog.Handler { return j }

// quoted keeps a value in its place: what a client sends may hold a new line, or move the cursor of whoever reads the journal.
func quoted(value string) string {
	if made := strconv.Quote(value); value == "" || made != `"`+value+`"` || strings.ContainsAny(value, " =") {
		return made
	}
	return value
}

// fieldName makes a name that the journal takes: capitals, digits and underscores.
func fieldName(key string) string {
	return "VISAVIS_" + strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '_'
	}, strings.ToUpper(key))
}

func priorityOf(level slog.Level) journal.Priority {
	switch {
	case level >= slog.LevelError:
		return journal.PriErr
	case level >= slog.LevelWarn:
		return journal.PriWarning
	default:
		return journal.PriInfo
	}
}
