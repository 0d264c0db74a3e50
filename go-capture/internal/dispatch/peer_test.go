// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"cmp"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

func TestMain(m *testing.M) { waiting.ForGoroutines(m) }

// house is a dispatcher that serves on a socket of its own and remembers every outcome.
type house struct {
	*Dispatcher
	t    *testing.T
	path string

	mu       sync.Mutex
	outcomes []Outcome
}

// patientMs is how long a house waits for its workers where a test says nothing else: longer than a busy machine holds one up.
const patientMs = 60_000

func newHouse(t *testing.T, o Options) *house {
	t.Helper()
	o.LeaseMs, o.HelloMs = cmp.Or(o.LeaseMs, patientMs), cmp.Or(o.HelloMs, patientMs)
	h := &house{t: t, path: filepath.Join(t.TempDir(), "frames.sock")}
	o.Outcome = func(outcome Outcome) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.outcomes = append(h.outcomes, outcome)
	}
	h.Dispatcher = New(o)
	listener, err := ListenUnix(h.path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- h.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *house) stream(name string) *Stream {
	h.t.Helper()
	s, err := h.AddStream(StreamSpec{Name: name, Width: 32, Height: 16})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(s.Retire)
	return s
}

func (h *house) fates() map[Fate]uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	fates := map[Fate]uint64{}
	for _, o := range h.outcomes {
		fates[o.Fate]++
	}
	return fates
}

func (h *house) counters(name string) Counters {
	for _, s := range h.Snapshot().Streams {
		if s.Name == name {
			return s.Counters
		}
	}
	return Counters{}
}

func publish(s *Stream) *Slot {
	slot := s.Acquire()
	if slot.Bytes() != nil {
		slot.Bytes()[0] = byte(slot.Seq())
		slot.Publish(Frame{CapturedNs: now(), ReadyNs: now()})
	}
	return slot
}

// peer is a worker's end of a connection.
type peer struct {
	t     *testing.T
	conn  *net.UnixConn
	rings map[uint32]ring.RingAdd
	maps  map[uint32][]byte
}

func (h *house) dial() *peer {
	h.t.Helper()
	conn, err := net.DialUnix(network, nil, &net.UnixAddr{Name: h.path, Net: network})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.peerAt(conn)
}

// peerAt is the other side of a connection; it is closed at the end of the test.
func (h *house) peerAt(conn *net.UnixConn) *peer {
	p := &peer{t: h.t, conn: conn, rings: map[uint32]ring.RingAdd{}, maps: map[uint32][]byte{}}
	h.t.Cleanup(p.close)
	return p
}

// named is a worker that can be told from those of the test before, of which the log may still tell.
func named(name string, credit uint32) ring.Hello {
	m := hello(credit)
	m.Name.Set(name)
	return m
}

func hello(credit uint32) ring.Hello {
	m := ring.Hello{Major: ring.Major, Credit: credit}
	m.Name.Set("tester")
	m.Model.Set("centerface@fake")
	return m
}

// worker connects and is welcomed.
func (h *house) worker(credit uint32) *peer {
	h.t.Helper()
	return h.welcomed(hello(credit))
}

func (h *house) welcomed(m ring.Hello) *peer {
	h.t.Helper()
	p := h.dial()
	p.hello(m)
	if kind, _ := p.read(); kind != ring.TypeWelcome {
		h.t.Fatalf("answer to HELLO is message %d", kind)
	}
	return p
}

func (p *peer) hello(m ring.Hello) {
	packet := make([]byte, ring.HelloBytes)
	m.Put(packet)
	p.send(packet)
}

func (p *peer) close() {
	_ = p.conn.Close() // often closed before
	for id, memory := range p.maps {
		delete(p.maps, id)
		if err := unix.Munmap(memory); err != nil {
			p.t.Error(err)
		}
	}
}

// send ignores a daemon that is gone: the tests look at what the daemon does.
func (p *peer) send(packet []byte) { _, _ = p.conn.Write(packet) }

// read gives the next message; type 0 means that the daemon closed.
func (p *peer) read() (uint16, []byte) {
	buffer, rights := make([]byte, 4096), make([]byte, 64)
	if err := p.conn.SetReadDeadline(time.Now().Add(waiting.Most)); err != nil {
		return 0, nil
	}
	n, nRights, _, _, err := p.conn.ReadMsgUnix(buffer, rights)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Errorf("nothing from the daemon within %v", waiting.Most)
	}
	if err != nil || n < ring.HeadBytes {
		return 0, nil
	}
	var head ring.Head
	head.Get(buffer)
	p.keep(head.Type, buffer[:n], rights[:nRights])
	return head.Type, buffer[:n]
}

// keep maps a new ring and unmaps a retired one.
func (p *peer) keep(kind uint16, packet, rights []byte) {
	switch kind {
	case ring.TypeRingAdd:
		var m ring.RingAdd
		if err := m.Decode(packet); err != nil {
			p.t.Error(err)
		}
		p.rings[m.RingID] = m
		p.maps[m.RingID] = p.mapped(rights, int(m.FileSize))
	case ring.TypeRingRetire:
		var m ring.RingRetire
		if err := m.Decode(packet); err != nil {
			p.t.Error(err)
		}
		if err := unix.Munmap(p.maps[m.RingID]); err != nil {
			p.t.Error(err)
		}
		delete(p.maps, m.RingID)
	}
}

func (p *peer) mapped(rights []byte, size int) []byte {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(messages) != 1 {
		p.t.Errorf("RING_ADD without one descriptor: %v", err)
		return nil
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		p.t.Errorf("RING_ADD has descriptors %v: %v", fds, err)
		return nil
	}
	defer unix.Close(fds[0]) //nolint:errcheck // the mapping stays
	memory, err := unix.Mmap(fds[0], 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		p.t.Error(err)
	}
	return memory
}

// frame reads on until a lease comes; ok is false when the daemon closed.
func (p *peer) frame() (m ring.Frame, ok bool) {
	for {
		switch kind, packet := p.read(); kind {
		case 0:
			return m, false
		case ring.TypeFrame:
			if err := m.Decode(packet); err != nil {
				p.t.Error(err)
			}
			return m, true
		}
	}
}

func (p *peer) credit(n uint32) {
	packet := make([]byte, ring.CreditBytes)
	(&ring.Credit{Credit: n}).Put(packet)
	p.send(packet)
}

func serverStatePacket(losses, localFrames uint64) []byte {
	packet := make([]byte, ring.ServerStateBytes)
	(&ring.ServerState{Losses: losses, LocalFrames: localFrames}).Put(packet)
	return packet
}

func (p *peer) answer(m ring.Result, found ...ring.Detection) {
	m.DetectionCount = uint32(len(found))
	p.send(resultPacket(m, found))
}

func resultPacket(m ring.Result, found []ring.Detection) []byte {
	packet := make([]byte, ring.ResultBytes+ring.DetectionBytes*len(found))
	m.DetectionCount = uint32(len(found))
	m.Put(packet)
	for i := range found {
		found[i].Put(packet[ring.ResultBytes+i*ring.DetectionBytes:])
	}
	return packet
}

// serve answers every lease until the daemon closes.
func (p *peer) serve(answered func(ring.Frame)) {
	for {
		m, ok := p.frame()
		if !ok {
			return
		}
		p.check(m)
		answered(m)
		p.answer(ring.Result{LeaseID: m.LeaseID})
	}
}

func (p *peer) check(m ring.Frame) {
	add := p.rings[m.RingID]
	if have := p.maps[m.RingID][add.DataOffset+uint64(m.Slot)*add.SlotStride]; have != byte(m.FrameSeq) {
		p.t.Errorf("torn: frame %d shows byte %d", m.FrameSeq, have)
	}
}
