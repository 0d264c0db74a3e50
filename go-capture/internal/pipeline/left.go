// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"visavis/capture/internal/album"
	"visavis/capture/internal/history"
	"visavis/capture/internal/state"
)

// leftEvery is how often somebody looks at what was left under another device.id, which is kept for days; leftFirst lets whoever starts
// with this device say first that it is not left, and a device that is given another name end under the old one.
const (
	leftEvery = time.Hour
	leftFirst = time.Minute
)

// leftPauses gives the pauses before each look.
func leftPauses() func() <-chan time.Time {
	next := leftFirst
	return func() <-chan time.Time {
		pause := next
		next = leftEvery
		return time.After(pause)
	}
}

// letOthersAge removes what could not follow to another device.id once it is too old, after each pause until ctx ends. Nobody waits for it:
// the disk may hang.
func (a *Appliance) letOthersAge(ctx context.Context, pause func() <-chan time.Time) {
	folder, err := state.Folder()
	if err != nil {
		return // nothing can have been kept
	}
	fault := state.NewFault(slog.String("folder", folder), "what was kept under another device.id may stay for too long", "what was kept under another device.id ages again")
	for {
		select {
		case <-ctx.Done():
			return
		case <-pause():
		}
		fault.Note(errors.Join(state.NoteBeside(folder, a.file, a.config.Device.ID), a.trimAllLeft(folder)))
	}
}

func (a *Appliance) trimAllLeft(folder string) error {
	return errors.Join(a.trimLeft(folder, "history", a.trimHistory), a.trimLeft(folder, "thumbnails", a.trimPictures))
}

// trimLeft trims what could not follow. What somebody uses all the same he trims himself.
func (a *Appliance) trimLeft(folder, kind string, trim func(folder string) error) (failed error) {
	for _, device := range state.LeftBehind(folder, kind, a.config.Device.ID) {
		if err := trim(filepath.Join(folder, kind, device)); !errors.Is(err, state.ErrInUse) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

func (a *Appliance) trimHistory(folder string) error {
	s := historySettings(a.config)
	s.Folder = folder
	return history.Trim(s)
}

func (a *Appliance) trimPictures(folder string) error {
	return album.Trim(albumSettings(a.config, folder), showsFaces)
}
