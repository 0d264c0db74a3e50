// SPDX-License-Identifier: Apache-2.0

// Package outbox keeps events until a broker has acknowledged them: over outages, kill -9 at any byte, power cuts and full disks.
//
// The way of an event:
//
//  1. Append puts it in memory and returns                     outbox.go
//  2. the writer adds it to a segment, soon syncs that         writer.go, segment.go, record.go
//  3. Next hands it out in order, from memory or disk          reader.go
//  4. Deliver gives it to a publisher, Ack settles it          deliver.go, outbox.go
//  5. the writer saves the position, removes what is settled   position.go, trim.go
//
// An event has a number only once it is claimed for the disk or handed out. So what memory must give up leaves no gap, and a gap
// in a segment is always damage.
package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"visavis/capture/internal/aside"
	"visavis/capture/internal/state"
)

// Settings of an outbox. Zero values other than Folder mean the default.
type Settings struct {
	Folder      string        // made if it is not there; for one outbox alone
	Owner       uint64        // for whom the events are, whatever that number means to the caller; 0: for whom they were
	MostBytes   int64         // on disk; 64 MiB
	MostAge     time.Duration // counted while an outbox runs, for wall clocks jump; 7 days
	MemoryBytes int           // for what the disk does not have for sure; 4 MiB
	Window      int           // handed out and not acknowledged; 100, which is also the most
	SyncEvery   time.Duration // how much a power cut may cost; 1 s, which is also the most
}

// WindowMost keeps a broker that acknowledges nothing from being flooded.
const WindowMost = 100

func (s Settings) filled() Settings {
	if s.MostBytes <= 0 {
		s.MostBytes = 64 << 20
	}
	if s.MostAge <= 0 {
		s.MostAge = 7 * 24 * time.Hour
	}
	if s.MemoryBytes <= 0 {
		s.MemoryBytes = 4 << 20
	}
	if s.Window <= 0 || s.Window > WindowMost {
		s.Window = WindowMost
	}
	if s.SyncEvery <= 0 || s.SyncEvery > time.Second {
		s.SyncEvery = time.Second
	}
	return s
}

// segmentBytes is the size at which a segment is full: dropping one must not cost much of what is kept.
func (s Settings) segmentBytes() int64 { return min(max(s.MostBytes/16, 16<<10), 1<<20) }

// mostSpan is how much younger than the first event of a segment its last one may be: age drops both together.
func (s Settings) mostSpan() time.Duration { return s.MostAge / 8 }

// Errors of Append.
var (
	ErrClosed   = errors.New("the outbox is closed")
	ErrTooLarge = fmt.Errorf("the event does not fit: topics hold up to %d bytes, payloads up to %d", MostTopicBytes, MostPayloadBytes)
)

// Outbox is a queue of events on disk. Append, Ack, Stats and Sync may be called from any goroutine; Next and Rewind from one.
type Outbox struct {
	settings Settings
	files    files
	running  func() time.Duration // since this process began; never jumps
	wake     chan struct{}        // for the writer
	ready    chan struct{}        // for the reader
	flush    chan chan error
	closing  chan struct{}
	closed   sync.Once
	ended    chan struct{}
	fault    *state.Fault
	left     *state.Fault // what another release left here and only it can send
	cursor   cursor       // the reader's
	disk     disk         // the writer's

	delivering chan struct{} // holds one token while Deliver reads

	mu          sync.Mutex
	loaded      bool // the folder was read, so events can have numbers
	shut        bool
	pending     []Record // appended, not surely on disk; numbered from base
	memory      int      // bytes in pending
	base        uint64
	claimed     int   // of pending, from its front: being written or written, not synced
	written     int   // of pending, from its front: in the active segment, where they stay whatever fails
	offset      int64 // in the active segment, of pending[0]
	segments    []segment
	position    position
	past        uint64              // running time of the processes before this one, ms
	above       map[uint64]struct{} // acknowledged, with something before it that is not
	inFlight    map[uint64]struct{}
	next        uint64 // to hand out; those before it are in flight, acknowledged or gone
	gap         bool   // numbers are missing at next, and something is in flight before them
	saved       uint64 // position.settled in the position file
	unsavedGoes bool   // the disk hangs: hand out more than a window behind saved
	appended    uint64
	dropping    bool   // has been said and goes on
	saidDropped uint64 // position.dropped when it was looked at last
	roundErr    error
}

// Stats are figures of one instant. Dropped and Corrupt count since the folder exists, the others since Open.
type Stats struct {
	Appended uint64 // events taken by Append
	Waiting  uint64 // not acknowledged, on disk and in memory
	Unsynced int    // of these, how many a power cut may cost now
	InFlight int    // handed out
	Dropped  uint64 // thrown away unacknowledged, oldest first: byte cap, age cap, no disk and no memory left
	Corrupt  uint64 // lost to damage on disk
	Bytes    int64  // on disk, in whole blocks
	Segments int    // files
}

// Open reads the folder and starts the writer. A disk that cannot be used now is no error: it is tried again every second and events
// stay in memory. Another program in the folder is one, for no wait would mend that.
func Open(s Settings) (*Outbox, error) {
	o := newOutbox(s, &folder{path: s.Folder})
	err := o.round(false)
	if errors.Is(err, state.ErrInUse) {
		return nil, errors.Join(fmt.Errorf("open outbox in %s: %w", s.Folder, err), o.files.close())
	}
	go o.run()
	return o, nil
}

func newOutbox(s Settings, in files) *Outbox {
	return &Outbox{
		settings: s.filled(), files: in, running: sinceNow(), wake: make(chan struct{}, 1), ready: make(chan struct{}, 1),
		delivering: make(chan struct{}, 1),
		flush:      make(chan chan error), closing: make(chan struct{}), ended: make(chan struct{}), above: map[uint64]struct{}{}, inFlight: map[uint64]struct{}{},
		fault: state.NewFault(slog.String("folder", s.Folder), "outbox cannot use its disk, events stay in memory", "outbox writes again"),
		left:  state.NewFault(slog.String("folder", s.Folder), "events wait that only another release can send", "they can go out"),
	}
}

// Append takes an event. It never waits for the disk; when neither disk nor memory has room, the oldest event goes and is counted.
func (o *Outbox) Append(topic string, payload []byte) error {
	if len(topic) > MostTopicBytes || len(payload) > MostPayloadBytes {
		return ErrTooLarge
	}
	record := Record{Topic: topic, Payload: append([]byte(nil), payload...), At: time.Now()}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.shut {
		return ErrClosed
	}
	record.RunningMs = o.runningMs()
	o.appended++
	o.pending = append(o.pending, record)
	o.memory += record.bytes()
	for o.memory > o.settings.MemoryBytes && o.dropFromMemory() {
	}
	nudge(o.wake)
	nudge(o.ready)
	return nil
}

// dropFromMemory gives up the oldest event that has no number yet. Reports false when all have one.
func (o *Outbox) dropFromMemory() bool {
	numbered := max(o.claimed, o.written)
	if o.loaded && o.next > o.base {
		numbered = max(numbered, int(o.next-o.base))
	}
	if numbered >= len(o.pending) {
		return false
	}
	o.memory -= o.pending[numbered].bytes()
	copy(o.pending[1:], o.pending[:numbered])
	o.pending[0] = Record{}
	o.pending = o.pending[1:]
	o.position.dropped++
	return true
}

// Ack says that the broker has a record, so that it need not be kept.
func (o *Outbox) Ack(seq uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, out := o.inFlight[seq]; !out {
		return // dropped meanwhile, or handed out again since
	}
	delete(o.inFlight, seq)
	o.above[seq] = struct{}{}
	o.advance()
	nudge(o.wake)
	nudge(o.ready)
}

// advance moves the position over everything acknowledged.
func (o *Outbox) advance() {
	for at := o.position.settled + 1; ; at++ {
		if _, done := o.above[at]; !done {
			break
		}
		delete(o.above, at)
		o.position.settled = at
	}
	o.next = max(o.next, o.position.settled+1)
}

// settleUpTo moves the position to seq, whatever became of the records before it, and returns how many were not acknowledged.
func (o *Outbox) settleUpTo(seq uint64) (lost uint64) {
	for at := range o.above {
		if at <= seq {
			lost--
			delete(o.above, at)
		}
	}
	lost += seq - o.position.settled
	for at := range o.inFlight {
		if at <= seq {
			delete(o.inFlight, at)
		}
	}
	o.position.settled = seq
	o.advance()
	nudge(o.ready)
	return lost
}

// Stats returns figures of this instant.
func (o *Outbox) Stats() Stats {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := Stats{
		Appended: o.appended, Waiting: uint64(len(o.pending)), Unsynced: len(o.pending), InFlight: len(o.inFlight),
		Dropped: o.position.dropped, Corrupt: o.position.corrupt, Bytes: onDisk(o.segments),
		Segments: len(o.segments),
	}
	if o.loaded {
		s.Waiting = o.last() - o.position.settled - uint64(len(o.above))
	}
	return s
}

// Fault says why the disk cannot be used now, or what waits on it for another release, and what to do about it; "" when all is well.
func (o *Outbox) Fault() string { return cmp.Or(o.fault.Now(), o.left.Now()) }

// last is the number of the newest event.
func (o *Outbox) last() uint64 { return o.base + uint64(len(o.pending)) - 1 }

func (o *Outbox) runningMs() uint64 { return o.past + uint64(o.running().Milliseconds()) }

// Sync waits until all that was appended before is on disk for sure. It returns the disk's error if there is one, or ctx's.
func (o *Outbox) Sync(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case o.flush <- answer:
	case <-o.ended:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close writes what it can, syncs it and ends the writer. No Next may run any more. When ctx ends first, the disk hangs and the writer is left to it.
func (o *Outbox) Close(ctx context.Context) error {
	o.mu.Lock()
	o.shut = true
	o.mu.Unlock()
	o.closed.Do(func() { close(o.closing) })
	select {
	case <-o.ended:
	case <-ctx.Done():
		return fmt.Errorf("close outbox in %s: %w", o.settings.Folder, ctx.Err())
	}
	aside.Within(ctx, 0, o.closeCursor)
	o.mu.Lock()
	defer o.mu.Unlock()
	if lost := len(o.pending); lost > 0 {
		return fmt.Errorf("close outbox in %s: %d events were only in memory: %w", o.settings.Folder, lost, o.roundErr)
	}
	return nil
}

// closeCursor leaves it to a reader that a disk holds, if there is one.
func (o *Outbox) closeCursor() {
	select {
	case o.delivering <- struct{}{}:
		o.endReading()
	default:
	}
}

func sinceNow() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}

// nudge wakes whoever waits, now or the next time.
func nudge(who chan struct{}) {
	select {
	case who <- struct{}{}:
	default:
	}
}
