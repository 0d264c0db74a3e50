// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/ring"
)

// worker is one connection after its HELLO.
type worker struct {
	conn                *net.UnixConn
	raw                 syscall.RawConn
	id                  uint32
	name, model         string
	flags               uint16 // HelloFlag…: how the model runs, or that it visits
	credit, granted     int
	leases              map[uint64]*lease
	rings               map[uint32]bool // announced on this connection
	serviceNs           float64         // average time per frame, 0 = not known yet
	batch               float64         // average number of frames inferred together, 0 = not known yet
	resultNs            int64           // of the last RESULT
	restsUntilNs        int64           // 0 while no worker has to rest
	forCamerasNs        int64           // from when on cameras' frames may come before it has rested: see rest.go
	used                uint64          // turn of the last dispatch
	frames, viewsLeaked uint64
	server              *ServerState // replaced, never changed; nil while the worker told of none
	gone                bool
}

// visits tells a visitor from a worker.
func (w *worker) visits() bool { return w.flags&ring.HelloFlagVisitor != 0 }

func (w *worker) ready(at int64) bool {
	return !w.gone && len(w.leases) < w.credit && (w.restsUntilNs == 0 || min(w.restsUntilNs, w.forCamerasNs) <= at)
}

// send makes one attempt and never waits: the buffer holds more than all credit, so a full one means a broken worker.
func (w *worker) send(packet, rights []byte) error { return sendOnce(w.raw, packet, rights) }

func sendOnce(raw syscall.RawConn, packet, rights []byte) error {
	var sent error
	err := raw.Write(func(fd uintptr) bool {
		for {
			sent = unix.Sendmsg(int(fd), packet, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
			if sent != unix.EINTR {
				return true
			}
		}
	})
	if err != nil {
		return err
	}
	return sent
}

// refusal ends a connection before it became a worker.
type refusal struct {
	code uint32
	text string
}

// handle serves one connection until it ends.
func (d *Dispatcher) handle(conn *net.UnixConn) {
	defer func() { _ = conn.Close() }() // closed twice when the dispatcher dropped the worker
	raw, err := conn.SyscallConn()
	if err != nil {
		return // closed already
	}
	w, no := d.admit(conn, raw)
	if no != nil {
		refuse(raw, no)
	}
	if w != nil {
		d.hear(w)
	}
}

// hear takes what a worker says until its connection ends.
func (d *Dispatcher) hear(w *worker) {
	buffer := make([]byte, ring.ResultBytes+ring.MaxResultBytes+1)
	for {
		packet, reason := readPacket(w.conn, buffer)
		switch reason {
		case "":
			reason = d.take(w, packet)
		case overdue: // see unsent: it reads nothing, and has not gone either
			reason = unread
		}
		if reason != "" {
			d.leave(w, reason)
			return
		}
	}
}

// admit reads HELLO and lets the worker in. Neither result is set when the peer just went away.
func (d *Dispatcher) admit(conn *net.UnixConn, raw syscall.RawConn) (*worker, *refusal) {
	if !d.allowed(raw) {
		return nil, &refusal{ring.RefusalPeerNotAllowed, "this user may not connect: see worker users"}
	}
	if !d.enter() {
		return nil, &refusal{ring.RefusalTooManyWorkers, "too many connections without HELLO"}
	}
	defer d.exit()
	deadline := time.Now().Add(time.Duration(d.options.HelloMs) * time.Millisecond)
	if err := conn.SetReadDeadline(deadline); err != nil {
		return nil, nil // closed already
	}
	packet, reason := readPacket(conn, make([]byte, ring.ResultBytes+ring.MaxResultBytes+1))
	if reason != "" {
		return nil, nil
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, nil // closed already
	}
	var hello ring.Hello
	if err := hello.Decode(packet); err != nil {
		return nil, &refusal{ring.RefusalMalformed, err.Error()}
	}
	return d.join(conn, raw, hello)
}

func (d *Dispatcher) allowed(raw syscall.RawConn) bool {
	if len(d.options.AllowUID) == 0 {
		return true
	}
	var peer *unix.Ucred
	var failed error
	err := raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	return err == nil && failed == nil && slices.Contains(d.options.AllowUID, peer.Uid)
}

func (d *Dispatcher) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.unnamed >= ring.MaxUnnamed {
		return false
	}
	d.unnamed++
	return true
}

func (d *Dispatcher) exit() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unnamed--
}

func refuse(raw syscall.RawConn, no *refusal) {
	message := ring.Refuse{Code: no.code}
	message.Text.Set(no.text)
	packet := make([]byte, ring.RefuseBytes)
	message.Put(packet)
	_ = sendOnce(raw, packet, nil) // a courtesy: the connection closes in any case
}

func helloRefusal(hello ring.Hello) *refusal {
	model, _ := splitModel(hello.Model.String())
	switch {
	case hello.Major != ring.Major:
		return &refusal{ring.RefusalVersion, fmt.Sprintf("protocol %d.x, daemon has %d.x", hello.Major, ring.Major)}
	case hello.Lane != 0:
		return &refusal{ring.RefusalMalformed, "lanes are not supported: lane must be 0"}
	case hello.Credit < 1 || hello.Credit > ring.MaxCredit:
		return &refusal{ring.RefusalMalformed, fmt.Sprintf("credit must be 1 to %d", ring.MaxCredit)}
	case model == "":
		return &refusal{ring.RefusalMalformed, "model must be NAME or NAME@BACKEND"}
	}
	return nil
}

// join sends WELCOME and every ring in one hold of the mutex, so that no ring is missed or sent twice. Room is made before.
func (d *Dispatcher) join(conn *net.UnixConn, raw syscall.RawConn, hello ring.Hello) (*worker, *refusal) {
	if no := helloRefusal(hello); no != nil {
		return nil, no
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	visitor := hello.Flags&ring.HelloFlagVisitor != 0
	if no := d.roomFor(visitor); no != nil {
		return nil, no
	}
	d.workerIDs++
	granted := min(int(hello.Credit), d.options.Credit)
	if visitor {
		granted = 1
	}
	w := &worker{
		conn: conn, raw: raw, id: d.workerIDs, name: hello.Name.String(), model: hello.Model.String(), flags: hello.Flags,
		credit: granted, granted: granted, leases: map[uint64]*lease{}, rings: map[uint32]bool{},
	}
	d.workers = append(d.workers, w)
	d.cutOffs.back(w.name)
	d.welcome(w, hello.Minor)
	for _, s := range d.streams {
		if !w.gone && !s.retired {
			d.announce(w, s)
		}
	}
	d.pump()
	return w, nil
}

// roomFor makes room for one more worker in every ring; a visitor has a slot in each from the start. The mutex is held, but let go of
// while memory is got. Workers and streams may come and go meanwhile, so all is looked at again until nothing is missing.
func (d *Dispatcher) roomFor(visitor bool) *refusal {
	for {
		if no := d.fullFor(visitor); no != nil {
			return no
		}
		s := d.narrow()
		if s == nil || visitor {
			return nil
		}
		if err := s.grow(); err != nil {
			return &refusal{ring.RefusalTooManyWorkers, err.Error()}
		}
	}
}

// fullFor refuses one more worker, or visitor, than there are places.
func (d *Dispatcher) fullFor(visitor bool) *refusal {
	most, why := d.options.MaxWorkers, fmt.Sprintf("%d workers are connected", d.options.MaxWorkers)
	if visitor {
		most, why = d.options.Visitors, "another visitor is connected"
	}
	connected := d.connected()
	if visitor {
		connected = len(d.workers) - connected
	}
	if connected >= most {
		return &refusal{ring.RefusalTooManyWorkers, why}
	}
	return nil
}

// connected counts the workers; visitors are none.
func (d *Dispatcher) connected() (n int) {
	for _, w := range d.workers {
		if !w.visits() {
			n++
		}
	}
	return n
}

// narrow is a stream without room for one more worker, if there is one. One that is retired needs none.
func (d *Dispatcher) narrow() *Stream {
	for _, s := range d.streams {
		if !s.retired && s.wanted() > len(s.slots) {
			return s
		}
	}
	return nil
}

func (d *Dispatcher) welcome(w *worker, minor uint16) {
	message := ring.Welcome{
		Major: ring.Major, Minor: min(minor, ring.Minor), WorkerID: w.id, InstanceID: d.instance, Credit: uint32(w.granted),
		MaxDetections: uint32(d.options.MaxDetections), LeaseMs: uint32(d.options.LeaseMs),
		MaxResultBytes: ring.MaxResultBytes, NowNs: now(),
	}
	packet := make([]byte, ring.WelcomeBytes)
	message.Put(packet)
	if err := w.send(packet, nil); err != nil {
		d.unsent(w, err)
	}
}

// unsent is what follows when a worker cannot be sent a message. One that has closed its end gets nothing more, but what it said before,
// as the answers to frames that it held, waits to be read, and its end after that: see hear. The mutex is held.
func (d *Dispatcher) unsent(w *worker, err error) {
	if !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		d.drop(w, unread)
		return
	}
	d.leaves(w)
	w.credit, w.granted = 0, 0
	farewell := time.Duration(d.options.LeaseMs) * time.Millisecond // for its answers, if it has not closed both ways
	_ = w.conn.SetReadDeadline(time.Now().Add(farewell))            // a connection that is closed needs none
}

// leave drops a worker and lends its freed slots' successors.
func (d *Dispatcher) leave(w *worker, reason string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(w, reason)
	d.pump()
}

// drop closes a connection and abandons what it held; a camera's frames are not sent again, since one that kills workers must not
// kill the next, and a newer one comes. The mutex is held; calling it again does nothing.
func (d *Dispatcher) drop(w *worker, reason string) {
	if w.gone {
		return
	}
	w.gone = true
	d.leaves(w)
	d.tell(w, reason)
	_ = w.conn.Close() // the descriptor is gone in any case
	d.workers = slices.DeleteFunc(d.workers, func(other *worker) bool { return other == w })
	for _, l := range w.leases {
		l.giveBack()
		if l.slot.goesOn() {
			continue
		}
		l.slot.dispatchNs = l.dispatchNs
		l.slot.stream.account.Abandoned++
		l.slot.end(Outcome{Fate: Abandoned, Worker: w.id, Model: w.model})
	}
}
