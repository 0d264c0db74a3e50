// SPDX-License-Identifier: Apache-2.0

// Package album keeps the small pictures of events on disk, beside the history: bounded, over kill -9, and no longer than the record
// of their event. Whatever goes wrong with the disk costs pictures, never events.
package album

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"visavis/capture/internal/state"
)

// Settings of an album.
type Settings struct {
	Folder    string                         // made if it is not there, for one album alone
	MostBytes int64                          // on disk, in whole blocks; the oldest pictures go
	Oldest    func() (id string, known bool) // of the events that are kept: pictures of earlier ones go
}

// Picture is that of one event.
type Picture struct {
	ID      string // of the event
	Camera  string
	Privacy string // what was hidden when it was made
	JPEG    []byte
}

// awaitMost is how long Find waits for a picture that is being made.
const awaitMost = 2 * time.Second

// Album holds pictures by the ids of their events, which rise. Keep, Trim and Close are for one goroutine, the others for any.
type Album struct {
	settings Settings
	patience time.Duration // of Find
	folder   *os.File      // locked; nil until it could be
	fault    *state.Fault

	mu     sync.Mutex
	kept   []page // ids rise
	bytes  int64
	coming map[string]chan struct{} // closed when a picture is there, or will not be
}

// New makes an album that has read nothing yet.
func New(s Settings) *Album {
	fault := state.NewFault(slog.String("folder", s.Folder), "pictures of events are not kept, the events are", "pictures of events are kept again")
	return &Album{settings: s, patience: awaitMost, coming: map[string]chan struct{}{}, fault: fault}
}

// Expect tells that a picture is being made, so that whoever has heard of its event finds it.
func (a *Album) Expect(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.coming[id] = make(chan struct{})
}

// GiveUp ends what Expect began.
func (a *Album) GiveUp(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if there, expected := a.coming[id]; expected {
		close(there)
		delete(a.coming, id)
	}
}

// Keep writes a picture, in place of the oldest ones if there are too many. A fault of the disk is told once.
func (a *Album) Keep(p Picture) {
	defer a.GiveUp(p.ID)
	err := a.load()
	if err == nil {
		err = a.trim(onDisk(int64(len(p.JPEG))))
	}
	if err == nil {
		err = a.write(p)
	}
	a.fault.Note(err)
}

// Trim removes what is too much or whose event is no longer kept. It is called now and then, and first of all.
func (a *Album) Trim() {
	err := a.load()
	if err == nil {
		err = a.trim(0)
	}
	a.fault.Note(err)
}

// Find is the picture of an event. It waits for one that is being made; false when there is none, or none any more.
func (a *Album) Find(ctx context.Context, id string) (Picture, bool) {
	a.await(ctx, id)
	a.mu.Lock()
	at, found := slices.BinarySearchFunc(a.kept, id, page.compare)
	if !found {
		a.mu.Unlock()
		return Picture{}, false
	}
	one := a.kept[at]
	a.mu.Unlock()
	jpeg, err := os.ReadFile(a.path(one))
	if err != nil || !isWhole(jpeg) { // removed this instant, or what a power cut left of it
		return Picture{}, false
	}
	return Picture{ID: one.id, Camera: one.camera, Privacy: one.privacy, JPEG: jpeg}, true
}

func (a *Album) await(ctx context.Context, id string) {
	a.mu.Lock()
	there, expected := a.coming[id]
	a.mu.Unlock()
	if !expected {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, a.patience)
	defer cancel()
	select {
	case <-there:
	case <-ctx.Done():
	}
}

// trim removes the oldest pictures until there is room for so many bytes.
func (a *Album) trim(room int64) error {
	oldest, known := a.settings.Oldest()
	for {
		a.mu.Lock()
		if len(a.kept) == 0 || a.bytes+room <= a.settings.MostBytes && (!known || a.kept[0].id >= oldest) {
			a.mu.Unlock()
			return nil
		}
		one := a.kept[0]
		a.mu.Unlock()
		if err := os.Remove(a.path(one)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		a.mu.Lock()
		a.kept, a.bytes = a.kept[1:], a.bytes-one.bytes
		a.mu.Unlock()
	}
}

// write makes the file as a whole or not at all. It is not synced: a power cut may cost the pictures of the last seconds.
func (a *Album) write(p Picture) error {
	made := page{id: p.ID, camera: p.Camera, privacy: p.Privacy, bytes: onDisk(int64(len(p.JPEG)))}
	fresh := a.path(made) + unfinished
	err := os.WriteFile(fresh, p.JPEG, 0o600)
	if err == nil {
		err = os.Rename(fresh, a.path(made))
	}
	if err != nil {
		_ = os.Remove(fresh) // on a full disk a part of it takes room from others
		if errors.Is(err, fs.ErrNotExist) {
			a.Close() // somebody removed the folder: the next picture makes it anew
		}
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if at, known := slices.BinarySearchFunc(a.kept, made.id, page.compare); !known {
		a.kept, a.bytes = slices.Insert(a.kept, at, made), a.bytes+made.bytes
	}
	return nil
}

func (p page) compare(id string) int { return cmp.Compare(p.id, id) }

// Empty removes the pictures of a folder for which there is no album any more. One that is not there is empty.
func Empty(folder string) error {
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	a := New(Settings{Folder: folder, Oldest: func() (string, bool) { return "", false }})
	defer a.Close()
	if err := a.load(); err != nil {
		return err
	}
	return a.trim(0)
}

// Fault says why no pictures can be kept now; "" when all is well.
func (a *Album) Fault() string { return a.fault.Now() }

// Close lets another program have the folder.
func (a *Album) Close() {
	if a.folder != nil {
		_ = a.folder.Close() // only read: nothing can be lost
		a.folder = nil
	}
}
