// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"visavis/capture/internal/aside"
	"visavis/capture/internal/outbox"
	"visavis/capture/internal/state"
)

// outboxFolder is where the outboxes of all devices are, below the state folder.
const outboxFolder = "outbox"

const closeMost = time.Second // for a disk that hangs, where an outbox beside others cannot be opened

// Keep gives each its outbox and its memory of topics, in folders of their own below this one. The configuration is the file that
// says how the device is called: what it announced under another name is cleared, also in a form that it tells no more. Call it before Run.
func (b *Brokers) Keep(folder, configuration string) (closeAll func(context.Context) error, err error) {
	keep := keeper{base: filepath.Join(folder, outboxFolder)}
	waiting := b.withOutbox()
	if len(waiting) > 0 {
		device, _, _ := strings.Cut(waiting[0].folder(), ".")
		moveAlong(keep.base, device, waiting)
	}
	for _, f := range waiting {
		keep.open(outbox.Settings{Folder: filepath.Join(keep.base, f.folder()), Owner: uint64(f.owner())}, f.EventsFrom)
	}
	if keep.failed != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeMost)
		defer cancel()
		return nil, errors.Join(keep.failed, keep.closeAll(ctx))
	}
	remember(b.families(), folder, configuration)
	return keep.closeAll, nil
}

// withOutbox are the forms of all brokers whose events wait on disk. nil is no broker.
func (b *Brokers) withOutbox() (waiting []form) {
	if b == nil {
		return nil
	}
	for _, f := range b.all {
		if f.folder() != "" {
			waiting = append(waiting, f)
		}
	}
	return waiting
}

// LetOthersAge keeps the events of a device that wait below this folder for brokers and forms which are not among these, until they come
// back or the events are too old. nil is no broker. Call it after Keep.
func (b *Brokers) LetOthersAge(folder, device string) (closeAll func(context.Context) error) {
	keep := keeper{base: filepath.Join(folder, outboxFolder)}
	waiting := b.withOutbox()
	if len(waiting) == 0 { // else Keep has done it
		moveAlong(keep.base, device, nil)
	}
	var own []string
	for _, f := range waiting {
		own = append(own, outbox.Folders(filepath.Join(keep.base, f.folder()))...)
	}
	for _, path := range foldersOf(keep.base, device) {
		if !slices.Contains(own, path) && somethingWaits(path) {
			keep.open(outbox.Settings{Folder: path}, func(*outbox.Outbox) {})
		}
	}
	if keep.failed != nil {
		slog.Warn("events for a broker or form of before may stay for too long", "error", keep.failed)
	}
	return keep.closeAll
}

// somethingWaits tells whether events wait in a folder that nobody sends from. One in which none do is removed.
func somethingWaits(path string) bool {
	left, err := outbox.Look(path)
	var other *state.VersionError
	switch {
	case errors.Is(err, state.ErrInUse) || errors.As(err, &other): // whoever uses or knows it also sends it
		return false
	case err != nil:
		return true // the outbox tries again, and tells
	}
	defer left.Release()
	if left.Waiting > 0 {
		slog.Warn("events wait for a broker or form that is no longer in the configuration: they go out if it comes back, and are removed after seven days",
			"folder", path, "events", left.Waiting)
		return true
	}
	if err := left.Remove(); err != nil {
		slog.Warn("an empty folder of events stays that is not needed", "folder", path, "error", err)
	}
	return false
}

// keeper opens outboxes until one fails.
type keeper struct {
	base   string
	opened []*outbox.Outbox
	failed error
}

func (k *keeper) open(s outbox.Settings, give func(*outbox.Outbox)) {
	if k.failed != nil {
		return
	}
	events, err := outbox.Open(s)
	if err != nil {
		k.failed = whoseFolder(err, s.Folder)
		return
	}
	k.opened = append(k.opened, events)
	give(events)
}

// whoseFolder names the remedy where another daemon has the folder.
func whoseFolder(err error, folder string) error {
	if !errors.Is(err, state.ErrInUse) {
		return err
	}
	return fmt.Errorf("events wait in %s, which another visavis with the same device.id uses: end that one, or set VISAVIS_STATE_DIR for one of the two", folder)
}

func (k *keeper) closeAll(ctx context.Context) error {
	ends := make([]func(context.Context) error, len(k.opened))
	for i, events := range k.opened {
		ends[i] = events.Close
	}
	return aside.Together(ctx, ends...)
}
