// SPDX-License-Identifier: Apache-2.0

package state

import (
	"bytes"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const retryAfter = 5 * time.Second

// Keeper keeps a file in step with what its owner knows. A disk that cannot be used is tried again.
type Keeper struct {
	path    string
	content func() ([]byte, error)
	fault   *Fault

	changed chan struct{}
	stop    chan struct{}
	ended   chan struct{}

	writing sync.Mutex
	written []byte // what the file holds; nil: not known
}

// NewKeeper has written nothing yet. content is what the file should hold; lost says in a sentence what is lost while it cannot be
// written, and kept that this is over. A path of "" is a file that nobody keeps.
func NewKeeper(path, lost, kept string, content func() ([]byte, error)) *Keeper {
	return &Keeper{
		path: path, content: content, fault: NewFault(slog.String("file", path), lost, kept),
		changed: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
	}
}

// Write brings the file up to date. What fails is in the log.
func (k *Keeper) Write() (upToDate bool) {
	if k.path == "" {
		return true
	}
	k.writing.Lock()
	defer k.writing.Unlock()
	now, err := k.content()
	if err == nil && (k.written == nil || !bytes.Equal(now, k.written)) {
		if err = Replace(k.path, now); err == nil {
			k.written = now
		}
	}
	k.fault.Note(err)
	return err == nil
}

// Remove takes the file away where it cannot be written: what it holds must not come back, and a full disk removes what it cannot replace.
func (k *Keeper) Remove() error {
	k.writing.Lock()
	defer k.writing.Unlock()
	k.written = nil
	if err := Remove(k.path); err != nil {
		return fmt.Errorf("%s can be neither written nor removed: %s", k.path, sentence(err))
	}
	return nil
}

// Fault says why the file cannot be written now; "" when all is well.
func (k *Keeper) Fault() string { return k.fault.Now() }

// Changed tells that there may be something to write. It never waits.
func (k *Keeper) Changed() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}

// Start begins to write whatever changes, beside everything else: a disk that hangs holds up nothing.
func (k *Keeper) Start() { go k.run() }

// Close writes what is left. It needs a Start before, and waits no longer than that for a disk that hangs.
func (k *Keeper) Close(most time.Duration) {
	close(k.stop)
	select {
	case <-k.ended:
	case <-time.After(most):
	}
}

func (k *Keeper) run() {
	defer close(k.ended)
	var retry <-chan time.Time // nil: nothing failed
	for {
		select {
		case <-k.stop:
			if retry != nil || len(k.changed) > 0 {
				k.Write()
			}
			return
		case <-k.changed:
		case <-retry:
		}
		retry = nil
		if !k.Write() {
			retry = time.After(retryAfter)
		}
	}
}
