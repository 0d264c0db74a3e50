// SPDX-License-Identifier: Apache-2.0

package state

import (
	"log/slog"
	"sync"
)

// Fault is what goes wrong with a folder or a file: it is said when it begins and when it is over, however often it is met.
type Fault struct {
	where  slog.Attr
	begins string // what the log says then
	ends   string

	mu  sync.Mutex
	now string
}

// NewFault makes one that has not been met. where names the place in the log; the sentences say what is lost, and that it no longer is.
func NewFault(where slog.Attr, begins, ends string) *Fault {
	return &Fault{where: where, begins: begins, ends: ends}
}

// Note takes the outcome of one use of the place.
func (f *Fault) Note(err error) {
	before := f.replace(err)
	switch {
	case before == "" && err != nil:
		slog.Warn(f.begins, f.where, slog.Any("error", err))
	case before != "" && err == nil:
		slog.Info(f.ends, f.where)
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
