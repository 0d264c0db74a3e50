// SPDX-License-Identifier: Apache-2.0

package state

import (
	"log/slog"
	"sync"
)

// Fault is what goes wrong with a folder: it is said when it begins and when it is over, however often it is met.
type Fault struct {
	folder string
	begins string // what the log says then
	ends   string

	mu  sync.Mutex
	now string
}

// NewFault makes one that has not been met. The sentences say what is lost, and that it no longer is.
func NewFault(folder, begins, ends string) *Fault {
	return &Fault{folder: folder, begins: begins, ends: ends}
}

// Note takes the outcome of one use of the folder.
func (f *Fault) Note(err error) {
	before := f.replace(err)
	switch {
	case before == "" && err != nil:
		slog.Warn(f.begins, "folder", f.folder, "error", err)
	case before != "" && err == nil:
		slog.Info(f.ends, "folder", f.folder)
	}
}

func (f *Fault) replace(err error) (before string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, f.now = f.now, ""
	if err != nil {
		f.now = err.Error()
	}
	return before
}

// Now is what is wrong; "" when all is well.
func (f *Fault) Now() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}
