// SPDX-License-Identifier: Apache-2.0

// Package dispatch lends captured frames to inference workers and takes their results.
//
// A Stream is one camera in one format; it writes into slots of its ring. pump lends the newest frame of the least recently served
// stream to the worker expected to finish first. A lease ends by RESULT, hang-up, a wrong message or its deadline; a client's picture
// that is late may be lent to a second worker before (late.go). Every captured frame ends in exactly one Outcome. One mutex guards
// everything, and nothing under it blocks: memory of rings, for which the kernel may have to make place, is got without it.
package dispatch

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"visavis/capture/internal/ring"
)

// Options of a Dispatcher; zero values take the contract's defaults.
type Options struct {
	MaxWorkers    int // connected at a time
	Workers       int // that rings have room for from the start, 1 if 0; when more connect, rings get more
	Visitors      int // connected at a time beside them: see ring.HelloFlagVisitor
	Credit        int // leases that one worker may hold, 1 if 0
	LeaseMs       int
	HelloMs       int
	MaxDetections int
	Outcome       func(Outcome) // called with the mutex held: must not block and must not call the Dispatcher
	AllowUID      []uint32      // users that may connect; empty: whoever may open the socket
	Checksums     bool          // crc32c in every FRAME, for tests
	GuestShare    float64       // part of the lent frames that are guests' while both they and cameras wait, half if 0
}

func (o Options) withDefaults() Options {
	set := func(value *int, otherwise, most int) {
		if *value <= 0 {
			*value = otherwise
		}
		*value = min(*value, most)
	}
	set(&o.MaxWorkers, ring.MaxWorkers, ring.MaxSlots)
	set(&o.Workers, 1, o.MaxWorkers)
	set(&o.Credit, 1, ring.MaxCredit)
	set(&o.LeaseMs, ring.LeaseMs, int(time.Hour/time.Millisecond))
	set(&o.HelloMs, ring.HelloMs, int(time.Hour/time.Millisecond))
	set(&o.MaxDetections, ring.MaxDetections, ring.MaxDetections)
	if o.GuestShare <= 0 || o.GuestShare >= 1 {
		o.GuestShare = defaultGuestShare
	}
	if o.Outcome == nil {
		o.Outcome = func(Outcome) {}
	}
	return o
}

// Dispatcher holds streams and workers. All methods may be called from any goroutine.
type Dispatcher struct {
	options  Options
	instance uint64

	mu        sync.Mutex
	streams   []*Stream
	accounts  map[string]*account // by stream name; outlives a change of format so that frame_seq goes on
	workers   []*worker
	unnamed   int
	leases    uint64
	workerIDs uint32
	ringIDs   uint32
	leftNs    int64  // when a worker left, 0 = none did
	turn      uint64 // grows with each dispatch: the order of service
	guestsDue float64
	rest      float64 // of a worker after a frame, in times of that frame: see rest.go
	heaviest  float64 // frame of guests so far, in frames' work
	spare     float64 // frames that may be lent a second time: see late.go
	timer     *time.Timer
	timerNs   int64 // when the timer comes, 0 = it is not set
	patientNs int64 // no lease is overdue before
	cutOffs   *cutOffs

	// reserve gets memory for more slots. Where little is left that takes long: nobody who holds the mutex may call it.
	reserve func(memory *ring.Ring, slots int) error
}

// New makes a Dispatcher without streams; call Serve to let workers in.
func New(o Options) *Dispatcher {
	d := &Dispatcher{options: o.withDefaults(), accounts: map[string]*account{}, spare: mostSpare,
		cutOffs: newCutOffs(time.Now), reserve: (*ring.Ring).Reserve}
	var raw [8]byte
	if _, err := rand.Read(raw[:]); err != nil {
		panic(err) // documented never to fail
	}
	d.instance = binary.LittleEndian.Uint64(raw[:])
	d.timer = time.AfterFunc(time.Hour, d.expire)
	d.timer.Stop()
	return d
}

// AddStream makes a stream and announces its ring to every worker. On a change of format add the new stream
// first, then retire the old one: both count into the account of their name, and frame_seq goes on. Errors: bad size, no memory.
func (d *Dispatcher) AddStream(spec StreamSpec) (*Stream, error) {
	slots, most := d.room(spec, d.options.Workers), d.room(spec, d.options.MaxWorkers)
	spec.Depth, spec.Tries = max(spec.Depth, 1), max(spec.Tries, 1)
	d.mu.Lock()
	d.ringIDs++
	id := d.ringIDs
	d.mu.Unlock()
	_, payloadBytes := spec.planes()
	memory, err := ring.Create(ring.Spec{
		RingID: id, StreamID: id, InstanceID: d.instance, StreamName: spec.Name, Width: spec.Width, Height: spec.Height,
		Slots: most, PayloadBytes: payloadBytes, Reserved: slots,
	})
	if err != nil {
		return nil, fmt.Errorf("add stream: %w", err)
	}
	return d.attach(spec, id, memory), nil
}

func (d *Dispatcher) attach(spec StreamSpec, id uint32, memory *ring.Ring) *Stream {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := &Stream{dispatcher: d, spec: spec, id: id, memory: memory}
	s.widen(d.room(spec, d.options.Workers))
	for s.wanted() > len(s.slots) { // more workers may come while it grows
		if s.grow() != nil {
			break // without memory for more workers the stream has what it needs for those that are configured
		}
	}
	if d.accounts[spec.Name] == nil {
		d.accounts[spec.Name] = &account{}
	}
	s.account = d.accounts[spec.Name]
	d.streams = append(d.streams, s)
	for _, w := range append([]*worker(nil), d.workers...) {
		d.announce(w, s)
	}
	return s
}

// announce sends RING_ADD with the ring's descriptor.
func (d *Dispatcher) announce(w *worker, s *Stream) {
	message := s.memory.Add()
	packet := make([]byte, ring.RingAddBytes)
	message.Put(packet)
	if err := w.send(packet, unix.UnixRights(s.memory.Fd())); err != nil {
		d.unsent(w, err)
		return
	}
	w.rings[s.id] = true
}

// standstillNs is by how much the timer is late where it was the daemon that stood still: its machine was stopped, as virtual ones are, or
// had no time. What workers have answered meanwhile waits in their sockets, and gets as long to be read.
const standstillNs = 250_000_000

// graceTimes is how often the time that it should take a lease gets after a standstill: the workers stood still too.
const graceTimes = 2

// graceNs is for how long no lease is overdue after a standstill. The mutex is held.
func (d *Dispatcher) graceNs() int64 {
	longest := float64(standstillNs)
	for _, w := range d.workers {
		for _, l := range w.leases {
			longest = max(longest, min(graceTimes*d.expectedNs(l), l.mostNs())) // a measured time may hold a standstill
		}
	}
	return int64(longest)
}

// expire is what the timer does.
func (d *Dispatcher) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.expireAt(now())
}

// expireAt ends connections that hold a lease for too long, also when nothing else happens. The mutex is held.
func (d *Dispatcher) expireAt(at int64) {
	if d.timerNs != 0 && at-d.timerNs > standstillNs {
		d.patientNs = at + d.graceNs()
	}
	for _, w := range append([]*worker(nil), d.workers...) {
		if w.isOverdue(at) {
			d.drop(w, overdue)
		}
	}
	d.lendLateAgain(at)
	d.pump()
	d.rearm(at)
}

// isOverdue says whether the worker has held a lease for too long.
func (w *worker) isOverdue(at int64) bool {
	for _, l := range w.leases {
		if at >= l.overdueNs() {
			return true
		}
	}
	return false
}

// rearm sets the timer to the first time at which a lease is late or overdue.
func (d *Dispatcher) rearm(at int64) {
	d.timerNs = 0
	d.armRests(at)
	for _, w := range d.workers {
		for _, l := range w.leases {
			d.arm(l.overdueNs())
			if l.lateNs > at && (l.awaited || l.slot.mayBeLentAgain()) {
				d.arm(l.lateNs)
			}
		}
	}
}

// arm makes sure that the timer does not come later.
func (d *Dispatcher) arm(atNs int64) {
	if d.timerNs != 0 && d.timerNs <= atNs {
		return
	}
	d.timerNs = atNs
	d.timer.Reset(max(time.Duration(atNs-now()), 0))
}
