// SPDX-License-Identifier: Apache-2.0

package state

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/updown"
)

// Fault is what goes wrong with a folder or a file: it is said when it begins, when it becomes one of another kind and when it is over,
// however often it is met.
type Fault struct {
	where  slog.Attr
	begins string // what the log says then
	ends   string

	mu    sync.Mutex
	log   *updown.Teller
	now   string // the error with what helps; "" when all is well
	since time.Time
}

// NewFault makes one that has not been met. where names the place in the log; the sentences say what is lost, and that it no longer is.
func NewFault(where slog.Attr, begins, ends string) *Fault {
	return &Fault{where: where, begins: begins, ends: ends, log: updown.New(time.Now)}
}

// Note takes the outcome of one use of the place.
func (f *Fault) Note(err error) {
	if err != nil {
		f.lasts(err)
		return
	}
	if after, say := f.over(); say {
		slog.Info(f.ends, f.where, slog.Duration("after", after))
	}
}

// lasts speaks without the mutex: whoever reads our log may hang, and who asks what is wrong must not.
func (f *Fault) lasts(err error) {
	now := sentence(err)
	if f.isNews(KindOf(err), now) {
		slog.Warn(f.begins, f.where, slog.String("error", now))
	}
}

// isNews goes by what helps: the words hold names of files, which are others each time.
func (f *Fault) isNews(kind Kind, now string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now == "" {
		f.since = time.Now()
	}
	f.now = now
	return f.log.Lost(remedies[kind])
}

func (f *Fault) over() (after time.Duration, say bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now == "" {
		return 0, false
	}
	f.now = ""
	return time.Since(f.since).Round(time.Millisecond), f.log.Back()
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

// IsLost tells that a disk, or its file system, has lost what it should read: nobody can mend that, unlike rights or a full disk.
func IsLost(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.EBADMSG) || errors.Is(err, unix.EUCLEAN)
}
