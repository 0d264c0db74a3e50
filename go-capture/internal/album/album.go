// SPDX-License-Identifier: Apache-2.0

// Package album keeps the small pictures of events on disk, beside the history: bounded, over kill -9, and no longer than the record
// of their event. Whatever goes wrong with the disk costs pictures, never events.
package album

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"visavis/capture/internal/state"
)

// Settings of an album.
type Settings struct {
	Folder    string                         // made if it is not there, for one album alone
	MostBytes int64                          // on disk, in whole blocks; the oldest pictures go
	MostAge   time.Duration                  // by the clock on the wall, whether the events can be read or not; 0 = as old as those
	Oldest    func() (id string, known bool) // of the events that are kept: pictures of earlier ones go; nil: nobody knows
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
	wall     func() time.Time
	patience time.Duration // of Find
	folder   *os.File      // locked; nil until it could be
	fault    *state.Fault
	stays    *state.Fault // what should be gone

	mu     sync.Mutex
	kept   []page // ids rise
	bytes  int64
	coming map[string]expected
}

// expected is a picture that is being made.
type expected struct {
	camera string
	there  chan struct{} // closed when the picture is there, or will not be
}

// New makes an album that has read nothing yet.
func New(s Settings) *Album {
	folder := slog.String("folder", s.Folder)
	fault := state.NewFault(folder, "pictures of events are not kept, the events are", "pictures of events are kept again")
	stays := state.NewFault(folder, "pictures of events should be gone and stay on the disk", "no picture of an event stays that should be gone")
	return &Album{settings: s, wall: time.Now, patience: awaitMost, coming: map[string]expected{}, fault: fault, stays: stays}
}

// Expect tells that a picture of a camera is being made, so that whoever has heard of its event finds it.
func (a *Album) Expect(id, camera string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.coming[id] = expected{camera, make(chan struct{})}
}

// GiveUp ends what Expect began.
func (a *Album) GiveUp(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if one, known := a.coming[id]; known {
		close(one.there)
		delete(a.coming, id)
	}
}

// Keep writes a picture, in place of the oldest ones if there are too many. A fault of the disk is told once.
func (a *Album) Keep(p Picture) {
	defer a.GiveUp(p.ID)
	err := a.load()
	if err == nil {
		err = a.makeRoom(onDisk(int64(len(p.JPEG))))
	}
	if err == nil {
		err = a.write(p)
	}
	a.fault.Note(err)
}

// Trim removes what is too much, whose event is no longer kept, and what may not be kept any more. It is called now and then, and first of
// all.
func (a *Album) Trim(unwanted func(camera, privacy string) bool) {
	if err := a.load(); err != nil {
		a.fault.Note(err) // which ends with the next picture that is kept
		return
	}
	a.stays.Note(a.clean(unwanted))
}

func (a *Album) clean(unwanted func(camera, privacy string) bool) error {
	return errors.Join(a.trim(0), a.drop(unwanted))
}

// Find is the picture of an event, for who may see its camera. It waits for one that is being made; false when there is none, or none any
// more, or it is of another camera: who may not see that is told so as early as of an event that never was.
func (a *Album) Find(ctx context.Context, id string, maySee func(camera string) bool) (Picture, bool) {
	a.await(ctx, id, maySee)
	a.mu.Lock()
	at, found := slices.BinarySearchFunc(a.kept, id, page.compare)
	if !found || !maySee(a.kept[at].camera) {
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

func (a *Album) await(ctx context.Context, id string, maySee func(camera string) bool) {
	a.mu.Lock()
	one, known := a.coming[id]
	a.mu.Unlock()
	if !known || !maySee(one.camera) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, a.patience)
	defer cancel()
	select {
	case <-one.there:
	case <-ctx.Done():
	}
}

// makeRoom fails where there is none. What is only too old, and stays, costs no new picture: Trim tells of it.
func (a *Album) makeRoom(room int64) error {
	err := a.trim(room)
	if a.bytes+room <= a.settings.MostBytes {
		return nil
	}
	return err
}

// trim removes the oldest pictures until there is room for so many bytes.
func (a *Album) trim(room int64) error {
	oldest, tooMuch := a.oldest(), a.bytes+room-a.settings.MostBytes
	return a.remove(a.kept, func(one page, freed int64) bool { return one.id < oldest || freed < tooMuch })
}

// oldest is an id below which no picture is kept. Ids begin with the time of their event.
func (a *Album) oldest() string {
	id := a.oldestKept()
	if a.settings.MostAge <= 0 {
		return id
	}
	var first ulid.ULID
	if err := first.SetTime(uint64(max(0, a.wall().Add(-a.settings.MostAge).UnixMilli()))); err != nil {
		return id // the clock is past the year 10889
	}
	return max(id, first.String())
}

func (a *Album) oldestKept() string {
	if a.settings.Oldest == nil {
		return ""
	}
	id, known := a.settings.Oldest()
	if !known {
		return ""
	}
	return id
}

func (a *Album) drop(unwanted func(camera, privacy string) bool) error {
	var dropped []page
	for _, one := range a.kept { // which only the goroutine that calls this changes
		if unwanted(one.camera, one.privacy) {
			dropped = append(dropped, one)
		}
	}
	return a.remove(dropped, func(page, int64) bool { return true })
}

// remove takes pages from the first one for as long as they are to go, after so many bytes were freed. It goes on where a picture cannot be
// removed, and tells of the first one: there may be thousands.
func (a *Album) remove(pages []page, goes func(one page, freed int64) bool) (failed error) {
	var gone []page
	tried, freed := 0, int64(0)
	for ; tried < len(pages) && goes(pages[tried], freed); tried++ {
		one := pages[tried]
		if err := os.Remove(a.path(one)); err == nil || errors.Is(err, fs.ErrNotExist) {
			gone, freed = append(gone, one), freed+one.bytes
		} else {
			failed = cmp.Or(failed, err)
		}
	}
	if failed != nil {
		failed = fmt.Errorf("%d of %d cannot be removed, such as this one: %w", tried-len(gone), tried, failed)
	}
	a.forget(gone)
	return failed
}

// forget takes out of the list what is gone from the disk, in order. Mostly that is its beginning, and nothing has to move.
func (a *Album) forget(gone []page) {
	a.mu.Lock()
	defer a.mu.Unlock()
	isNext := func(one page) bool {
		if len(gone) == 0 || one != gone[0] {
			return false
		}
		gone, a.bytes = gone[1:], a.bytes-one.bytes
		return true
	}
	for len(a.kept) > 0 && isNext(a.kept[0]) {
		a.kept = a.kept[1:]
	}
	if len(gone) > 0 {
		a.kept = slices.DeleteFunc(a.kept, isNext)
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

// Trim removes what is too old or too much, and what may not be kept, from a folder that no album uses now; state.ErrInUse is the answer
// where one does. A folder that is not there holds nothing.
func Trim(s Settings, unwanted func(camera, privacy string) bool) error {
	if _, err := os.Stat(s.Folder); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	a := New(s)
	defer a.Close()
	if err := a.load(); err != nil {
		return err
	}
	return a.clean(unwanted)
}

// Fault says why no pictures can be kept now, or be removed; "" when all is well.
func (a *Album) Fault() string {
	faults := slices.DeleteFunc([]string{a.fault.Now(), a.stays.Now()}, func(fault string) bool { return fault == "" })
	return strings.Join(faults, "; ")
}

// Close lets another program have the folder.
func (a *Album) Close() {
	if a.folder != nil {
		_ = a.folder.Close() // only read: nothing can be lost
		a.folder = nil
	}
}
