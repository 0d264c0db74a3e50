// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"visavis/capture/internal/outbox"
	"visavis/capture/internal/state"
)

// ForgetOthers removes the events of a device that wait below this folder for brokers and forms which are not among these, as none may
// wait for ever. They are told in the log. nil is no broker.
func (b *Brokers) ForgetOthers(folder, device string) {
	base := filepath.Join(folder, "outbox")
	entries, err := os.ReadDir(base)
	if err != nil {
		return // none yet, or a disk that the outboxes complain of
	}
	own := b.outboxes(base)
	for _, entry := range entries {
		path := filepath.Join(base, entry.Name())
		if whose, _, _ := strings.Cut(entry.Name(), "."); entry.IsDir() && whose == device && !slices.Contains(own, path) {
			forget(path)
		}
	}
}

// outboxes are the folders in which events wait for these brokers.
func (b *Brokers) outboxes(base string) (folders []string) {
	if b == nil {
		return nil
	}
	for _, p := range b.all {
		folders = append(folders, outbox.Folders(filepath.Join(base, p.folder()))...)
	}
	for _, f := range b.forms {
		if name := f.folder(); name != "" {
			folders = append(folders, outbox.Folders(filepath.Join(base, name))...)
		}
	}
	return folders
}

func forget(path string) {
	events, err := outbox.Empty(path)
	if events > 0 {
		slog.Warn("events were removed unsent: the section or form that they waited in is no longer in the configuration; a broker that moves to another section does not take them along", "folder", path, "events", events)
	}
	if err != nil && !errors.Is(err, state.ErrInUse) { // whoever uses it also sends it
		slog.Warn("events of a section or form that is no longer in the configuration may stay", "folder", path, "error", err)
	}
}
