// SPDX-License-Identifier: Apache-2.0

package state

import (
	"log/slog"
	"sync"
	"time"

	"visavis/capture/internal/updown"
)

// Fault is what goes wrong with a folder or a file: it is said when it begins and when it is over, however often it is met.
type Fault struct {
	where  slog.Attr
	begins string // what the log says then
	ends   string

	mu  sync.Mutex
	log *updown.Teller
	now string
}

// NewFault makes one that has not been met. where names the place in the log; the sentences say what is lost, and that it no longer is.
func NewFault(where slog.Attr, begins, ends string) *Fault {
	return &Fault{where: where, begins: begins, ends: ends, log: updown.New(time.Now)}
}

// Note takes the outcome of one use of the place.
func (f *Fault) Note(err error) {
	begins, ends := f.news(err)
	switch {
	case begins:
		slog.Warn(f.begins, f.where, slog.Any("error", err))
	case ends:
		slog.Info(f.ends, f.where)
	}
}

// news tells what of an outcome is to be said.
func (f *Fault) news(err error) (begins, ends bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.now = err.Error()
		return f.log.Lost(f.begins), false // whose error holds the name of a file, which is another one each time
	}
	ended := f.now != ""
	f.now = ""
	return false, ended && f.log.Back()
}

// Now is what is wrong, in a sentence, for the status: the log has told it once. "" when all is well.
func (f *Fault) Now() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now == "" {
		return ""
	}
	return f.begins + ": " + f.now
}
