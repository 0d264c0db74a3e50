// SPDX-License-Identifier: Apache-2.0

package outbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// memoryDisk is a folder in memory that can fail like a disk, and be left as a kill or a power cut leaves one.
type memoryDisk struct {
	mu      sync.Mutex
	files   map[string]*memoryFile
	lasting map[string]bool // names that a power cut leaves
	fault   func(what, name string) error
	room    int // bytes that still fit; -1: no end
	steps   int // changes until the process is killed, in the middle of the last; -1: never
}

type memoryFile struct {
	disk         *memoryDisk
	name         string
	data, synced []byte
}

var (
	errKilled = errors.New("the process was killed")
	errFull   = fmt.Errorf("write: %w", syscall.ENOSPC)
)

func newMemoryDisk() *memoryDisk {
	return &memoryDisk{files: map[string]*memoryFile{}, lasting: map[string]bool{}, room: -1, steps: -1}
}

// kill returns the disk as another process finds it: all that was written is there.
func (d *memoryDisk) kill() *memoryDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.steps = 0
	left := newMemoryDisk()
	left.lasting = d.lasting
	for name, f := range d.files {
		left.files[name] = &memoryFile{left, name, append([]byte(nil), f.data...), f.synced}
	}
	return left
}

// powerCut returns the disk as the next boot finds it: of what was not synced, chance decides.
func (d *memoryDisk) powerCut(chance func(most int) int) *memoryDisk {
	left := d.kill()
	for _, name := range slices.Sorted(maps.Keys(left.files)) { // the same chance, the same disk
		f := left.files[name]
		if !left.lasting[name] && chance(1) == 0 {
			delete(left.files, name)
			continue
		}
		kept := min(len(f.synced)+chance(max(len(f.data)-len(f.synced), 0)), len(f.data))
		same := min(kept, len(f.synced))
		after := append(append([]byte(nil), f.synced[:same]...), f.data[same:kept]...)
		if chance(1) == 0 {
			after = append(after, make([]byte, len(f.data)-kept)...) // the size was written, the content was not
		}
		f.data, f.synced = after, after
	}
	left.lasting = map[string]bool{}
	for name := range left.files {
		left.lasting[name] = true
	}
	return left
}

// change counts down to the kill and reports how much of a change still happens: all of it, a part, or an error.
func (d *memoryDisk) change(what, name string, bytes int) (int, error) {
	if d.fault != nil {
		if err := d.fault(what, name); err != nil {
			return 0, err
		}
	}
	switch {
	case d.steps == 0:
		return 0, errKilled
	case d.steps == 1:
		d.steps = 0
		return bytes / 2, errKilled
	case d.steps > 0:
		d.steps--
	}
	return bytes, nil
}

func (d *memoryDisk) prepare() error { return d.check("prepare", "") }
func (d *memoryDisk) close() error   { return nil }

// beside leaves what another release wrote out of sight.
func (d *memoryDisk) beside() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files, d.lasting = map[string]*memoryFile{}, map[string]bool{}
}

// check asks for a fault of something that changes nothing.
func (d *memoryDisk) check(what, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.steps == 0 {
		return errKilled
	}
	if d.fault == nil {
		return nil
	}
	return d.fault(what, name)
}

func (d *memoryDisk) names() (found []string, err error) {
	if err := d.check("list", ""); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.files {
		found = append(found, name)
	}
	return found, nil
}

func (d *memoryDisk) create(name string, over bool) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, there := d.files[name]; there && !over {
		return nil, fmt.Errorf("create %s: %w", name, fs.ErrExist)
	}
	if n, err := d.change("create", name, 2); err != nil && n == 0 {
		return nil, err
	}
	d.release(name)
	d.files[name] = &memoryFile{disk: d, name: name}
	return d.files[name], nil
}

func (d *memoryDisk) open(name string) (file, int64, error) {
	f, err := d.update(name)
	if err != nil {
		return nil, 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return f, int64(len(d.files[name].data)), nil
}

func (d *memoryDisk) update(name string) (file, error) {
	if err := d.check("open", name); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f, there := d.files[name]
	if !there {
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	}
	return f, nil
}

func (d *memoryDisk) replace(name string, content []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n, err := d.change("create", name, 2); err != nil && n == 0 {
		return err
	}
	if d.room >= 0 && d.room < len(content) {
		return errFull
	}
	d.release(name) // the old content goes only when the new one is there
	d.take(len(content))
	d.files[name] = &memoryFile{d, name, append([]byte(nil), content...), append([]byte(nil), content...)}
	d.lasting[name] = true
	return nil
}

func (d *memoryDisk) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n, err := d.change("remove", name, 2); err != nil && n == 0 {
		return err
	}
	d.release(name)
	delete(d.files, name)
	return nil
}

// release gives back the room of a file that goes.
func (d *memoryDisk) release(name string) {
	if f, there := d.files[name]; there {
		d.take(-len(f.data))
	}
}

func (d *memoryDisk) take(bytes int) {
	if d.room >= 0 {
		d.room -= bytes
	}
}

func (d *memoryDisk) sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n, err := d.change("sync folder", "", 2); err != nil && n == 0 {
		return err
	}
	d.lasting = map[string]bool{}
	for name := range d.files {
		d.lasting[name] = true
	}
	return nil
}

func (f *memoryFile) ReadAt(to []byte, at int64) (int, error) {
	if err := f.disk.check("read", f.name); err != nil {
		return 0, err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if at >= int64(len(f.data)) {
		return 0, io.EOF
	}
	n := copy(to, f.data[at:])
	if n < len(to) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memoryFile) WriteAt(from []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n, err := f.disk.change("write", f.name, len(from))
	if grows := int(at) + n - len(f.data); f.disk.room >= 0 && grows > 0 {
		fits := min(grows, f.disk.room)
		f.disk.room -= fits
		if fits < grows {
			n, err = n-(grows-fits), errFull
		}
	}
	if end := int(at) + n; end > len(f.data) && n > 0 {
		f.data = append(f.data, make([]byte, end-len(f.data))...)
	}
	copy(f.data[min(int(at), len(f.data)):], from[:max(n, 0)])
	return max(n, 0), err
}

func (f *memoryFile) Sync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if n, err := f.disk.change("sync", f.name, 2); err != nil && n == 0 {
		return err
	}
	f.synced = append([]byte(nil), f.data...)
	return nil
}

func (f *memoryFile) Close() error { return f.disk.check("close", f.name) }

// loadedFrom opens an outbox on a disk without starting its writer: tests take its rounds one by one.
func loadedFrom(t testing.TB, d files, s Settings) *Outbox {
	t.Helper()
	o := newOutbox(s, d)
	if err := o.round(false); err != nil {
		t.Fatalf("first round: %v", err)
	}
	return o
}
