// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"bytes"
	"errors"
	"log/slog"
	"math"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/logtest"
	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

func TestAFrameIsLentAndItsResultIsTheOutcome(t *testing.T) {
	h := newHouse(t, Options{})
	s := h.stream("door")
	p := h.worker(1)
	slot := publish(s)
	m, ok := p.frame()
	if !ok || m.FrameSeq != slot.Seq() || m.Width != 32 || m.Height != 16 || m.PayloadBytes != 32*16*3 {
		t.Fatalf("lease is %+v", m)
	}
	p.check(m)
	begun, ended := now(), now()
	p.answer(ring.Result{LeaseID: m.LeaseID, ReceivedNs: begun, InferBeginNs: begun, InferEndNs: ended}, ring.Detection{X1: -5, Y1: 2, X2: 99, Y2: 99, Score: 0.5})
	waiting.Until(t, "the outcome", func() bool { return h.fates()[Inferred] == 1 })
	o := h.outcomes[0]
	if o.Stream != "door" || o.Seq != 1 || o.Model != "centerface@fake" || o.InferBeginNs != begun || o.InferEndNs != ended || o.DispatchNs == 0 || o.ResultNs < o.DispatchNs {
		t.Errorf("outcome is %+v", o)
	}
	if got := o.Detections[0]; got.X1 != 0 || got.Y1 != 2 || got.X2 != 32 || got.Y2 != 16 {
		t.Errorf("box is not clamped to the picture: %+v", got)
	}
	if w := h.Snapshot().Workers[0]; w.Model != "centerface" || w.Backend != "fake" || w.State != "idle" || w.Frames != 1 {
		t.Errorf("worker is %+v", w)
	}
}

func TestAWorkersBackendIsWhatStandsBehindTheLastAtOfItsModel(t *testing.T) {
	for said, want := range map[string][2]string{
		"retrained-retrained-@onnxruntime": {"retrained-retrained-", "onnxruntime"}, "mine@home@kserve": {"mine@home", "kserve"},
		"centerface": {"centerface", ""},
	} {
		h := newHouse(t, Options{})
		p := h.dial()
		with := hello(1)
		with.Model.Set(said)
		p.hello(with)
		waiting.Until(t, "the worker is there", func() bool { return len(h.Snapshot().Workers) == 1 })
		if w := h.Snapshot().Workers[0]; w.Model != want[0] || w.Backend != want[1] {
			t.Errorf("%s: the worker is %+v", said, w)
		}
	}
}

func TestAWorkersStateSaysHowManyFramesItInfersTogether(t *testing.T) {
	h := newHouse(t, Options{Credit: 4})
	s, p := h.stream("door"), h.worker(4)
	batch := func() float64 { return h.Snapshot().Workers[0].Batch }
	if batch() != 0 {
		t.Fatalf("batch is %v before the first frame", batch())
	}
	for _, said := range []uint32{4, 1 << 31, 0} {
		publish(s)
		m, _ := p.frame()
		p.answer(ring.Result{LeaseID: m.LeaseID, Batch: said})
	}
	// 4, then an eighth of the way to the most that there can be (64), then an eighth of the way to the least (1).
	waiting.Until(t, "an average of 10.1875", func() bool { return batch() == 10.1875 })
}

func TestASlotMayHoldAFullPictureBesideTheNetworks(t *testing.T) {
	h := newHouse(t, Options{Checksums: true})
	s, err := h.AddStream(StreamSpec{Name: "door", Width: 10, Height: 7, FullWidth: 33, FullHeight: 21})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Retire()
	p := h.worker(1)
	slot := s.Acquire()
	if len(slot.Bytes()) != 3*10*7 || len(slot.Full()) != 3*33*21 {
		t.Fatalf("the slot has %d and %d bytes", len(slot.Bytes()), len(slot.Full()))
	}
	fill(slot.Bytes(), 'n')
	fill(slot.Full(), 'f')
	slot.Publish(Frame{CapturedNs: now()})
	m, ok := p.frame()
	full := m.Planes[ring.FullPicturePlane]
	if !ok || m.Flags != ring.FrameFlagFullInP3 || m.PlaneCount != 4 || full.Stride != 3*33 || full.Rows != 21 || full.Offset%ring.Align != 0 {
		t.Fatalf("lease is %+v", m)
	}
	add := p.rings[m.RingID]
	memory := p.maps[m.RingID][add.DataOffset+uint64(m.Slot)*add.SlotStride:][:m.PayloadBytes]
	for plane, want := range map[int]byte{0: 'n', ring.FullPicturePlane: 'f'} {
		place := m.Planes[plane]
		if got := memory[place.Offset:][:place.Bytes]; bytes.Count(got, []byte{want}) != len(got) {
			t.Errorf("plane %d holds other bytes than were written", plane)
		}
	}
	p.answer(ring.Result{LeaseID: m.LeaseID})
	waiting.Until(t, "the outcome", func() bool { return h.fates()[Inferred] == 1 })
	plain := h.stream("hall").Acquire()
	if plain.Full() != nil {
		t.Error("a stream without a second picture has one")
	}
	plain.Abort()
}

func TestTheSnapshotTellsWhatHelloSaysAboutTheModel(t *testing.T) {
	for flags, want := range map[uint16]WorkerState{
		0:                      {},
		ring.HelloFlagFP16:     {Precision: "fp16"},
		ring.HelloFlagInt8:     {Precision: "int8"},
		ring.HelloFlagFallback: {Fallback: true},
		ring.HelloFlagFP32 | ring.HelloFlagFallback | 1<<15: {Precision: "fp32", Fallback: true},
		ring.HelloFlagFP32 | ring.HelloFlagInt8:             {},
	} {
		h := newHouse(t, Options{})
		said := hello(1)
		said.Flags = flags
		h.dial().hello(said)
		waiting.Until(t, "the worker is in", func() bool { return len(h.Snapshot().Workers) == 1 })
		if got := h.Snapshot().Workers[0]; got.Precision != want.Precision || got.Fallback != want.Fallback {
			t.Errorf("flags %#x are precision %q, fallback %v; want %q, %v", flags, got.Precision, got.Fallback, want.Precision, want.Fallback)
		}
	}
}

func TestTheSnapshotTellsHowAWorkersServerDid(t *testing.T) {
	h := newHouse(t, Options{})
	h.worker(1)
	p := h.worker(1)
	for _, want := range []ServerState{{}, {Losses: 1, LocalFrames: 3}} {
		p.send(serverStatePacket(want.Losses, want.LocalFrames))
		waiting.Until(t, "the worker's word has arrived", func() bool {
			got := h.Snapshot().Workers[1].Server
			return got != nil && *got == want
		})
	}
	if got := h.Snapshot().Workers[0].Server; got != nil {
		t.Errorf("a worker that told of no server has %+v", *got)
	}
}

func fill(memory []byte, value byte) {
	for i := range memory {
		memory[i] = value
	}
}

func TestTheNewestFrameWinsWhenNobodyIsFree(t *testing.T) {
	h := newHouse(t, Options{})
	s := h.stream("door")
	for range 10 {
		publish(s)
	}
	p := h.worker(1)
	m, ok := p.frame()
	if !ok || m.FrameSeq != 10 || m.Superseded != 9 {
		t.Errorf("lease is of frame %d with %d superseded, want 10 and 9", m.FrameSeq, m.Superseded)
	}
	if got := h.fates(); got[Superseded] != 9 || len(got) != 1 {
		t.Errorf("outcomes %v, want nine superseded", got)
	}
}

func TestAFrameWithoutASlotIsCountedAndReported(t *testing.T) {
	h := newHouse(t, Options{})
	s, err := h.AddStream(StreamSpec{Name: "door", Width: 8, Height: 8, Slots: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Retire()
	first := s.Acquire()
	none := s.Acquire()
	none.Publish(Frame{})
	none.Abort()
	first.Abort()
	if none.Bytes() != nil || none.Seq() != 2 {
		t.Errorf("second slot has %d bytes, seq %d", len(none.Bytes()), none.Seq())
	}
	if c := h.counters("door"); c.NoSlot != 1 || c.Aborted != 1 || c.Captured != 2 || c.InFlight != 0 {
		t.Errorf("counters are %+v", c)
	}
}

func TestCreditZeroPausesAndCreditOneResumes(t *testing.T) {
	h := newHouse(t, Options{})
	s := h.stream("door")
	p := h.worker(1)
	p.credit(0)
	waiting.Until(t, "the worker is paused", func() bool { return h.Snapshot().Workers[0].State == "paused" })
	publish(s)
	if c := h.counters("door"); c.InFlight != 1 || h.Snapshot().Workers[0].Outstanding != 0 {
		t.Errorf("a paused worker got a frame: %+v", c)
	}
	p.credit(1)
	if m, ok := p.frame(); !ok || m.FrameSeq != 1 {
		t.Errorf("after CREDIT 1 the lease is %+v", m)
	}
}

func TestAnErrorStatusIsAbandonedAndCountedByStatus(t *testing.T) {
	h := newHouse(t, Options{})
	s := h.stream("door")
	p := h.worker(1)
	for _, status := range []uint32{ring.StatusStale, ring.StatusFailed, ring.StatusBadInput} {
		publish(s)
		m, _ := p.frame()
		p.answer(ring.Result{LeaseID: m.LeaseID, Status: status})
	}
	waiting.Until(t, "three abandoned", func() bool { return h.counters("door").Abandoned == 3 })
	if c := h.counters("door"); c.StatusStale != 1 || c.StatusFailed != 1 || c.StatusBadInput != 1 || c.Inferred != 0 {
		t.Errorf("counters are %+v", c)
	}
}

func TestALeaseEndsAtItsDeadlineThoughNothingElseHappens(t *testing.T) {
	h := newHouse(t, Options{LeaseMs: 50})
	s := h.stream("door")
	p := h.worker(1)
	publish(s)
	if _, ok := p.frame(); !ok {
		t.Fatal("no lease")
	}
	if _, ok := p.frame(); ok {
		t.Error("the connection of a hanging worker stays open")
	}
	if c := h.counters("door"); c.Abandoned != 1 {
		t.Errorf("counters are %+v", c)
	}
	publish(s)
	if m, ok := h.worker(1).frame(); !ok || m.FrameSeq != 2 {
		t.Errorf("the next worker got %+v", m)
	}
}

func TestAWorkerThatIsCutOffIsToldWithTheRemedyAndAFloodIsNot(t *testing.T) {
	said := &heard{}
	logtest.Hear(t, slog.NewTextHandler(said, nil))
	h := newHouse(t, Options{LeaseMs: 1})
	s := h.stream("door")
	for _, name := range []string{"hasty", "hasty", "late", "hasty", "late", "hasty"} {
		p := h.welcomed(named(name, 1))
		publish(s)
		waiting.Until(t, "the worker is gone", func() bool { return len(h.Snapshot().Workers) == 0 })
		p.close()
	}
	h.worker(1).close() // of one that goes by itself there is nothing to say
	waiting.Until(t, "each is told", func() bool { return said.count("worker=hasty") > 0 && said.count("worker=late") > 0 })
	waiting.Until(t, "all are gone", func() bool { return len(h.Snapshot().Workers) == 0 })
	if n := said.count("worker="); n != 2 || said.count("worker.lease_ms") != n {
		t.Errorf("%d are told:\n%s", n, said.all())
	}
}

// heard is what the log says.
type heard struct {
	mu   sync.Mutex
	text strings.Builder
}

func (h *heard) Write(line []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(line)
}

func (h *heard) all() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

func (h *heard) count(words string) int { return strings.Count(h.all(), words) }

func TestAReplacementJoinsBeforeTheDeadWorkerIsCleaned(t *testing.T) {
	h := newHouse(t, Options{MaxWorkers: 2, Credit: 1})
	s := h.stream("door")
	for range 3 { // two that hang, one too many
		if len(h.Snapshot().Workers) < 2 {
			h.worker(1)
			publish(s)
		}
	}
	waiting.Until(t, "both hold a lease", func() bool { return h.Snapshot().Streams[0].Free == 5-2 })
	for range 20 {
		publish(s)
	}
	if c := h.counters("door"); c.NoSlot != 0 {
		t.Errorf("the camera ran out of slots: %+v", c)
	}
}

func TestHelloIsRefusedWithACodeAndASentence(t *testing.T) {
	h := newHouse(t, Options{MaxWorkers: 1})
	version, lane, greedy, short, modelless, backendOnly := hello(1), hello(1), hello(65), hello(1), hello(1), hello(1)
	version.Major, lane.Lane = ring.Major+1, 1
	modelless.Model.Set("")
	backendOnly.Model.Set("@fake")
	for _, c := range []struct {
		hello ring.Hello
		code  uint32
		text  string
	}{
		{version, ring.RefusalVersion, "protocol 2.x"}, {lane, ring.RefusalMalformed, "lanes"}, {greedy, ring.RefusalMalformed, "credit"},
		{modelless, ring.RefusalMalformed, "model must be"}, {backendOnly, ring.RefusalMalformed, "model must be"},
	} {
		p := h.dial()
		p.hello(c.hello)
		refused(t, p, c.code, c.text)
	}
	p := h.dial()
	packet := make([]byte, ring.HelloBytes)
	short.Put(packet)
	copy(packet[8:], "XXXX")
	p.send(packet)
	refused(t, p, ring.RefusalMalformed, "magic")
	h.worker(1)
	p = h.dial()
	p.hello(hello(1))
	refused(t, p, ring.RefusalTooManyWorkers, "1 workers")
}

func refused(t *testing.T, p *peer, code uint32, text string) {
	t.Helper()
	kind, packet := p.read()
	var m ring.Refuse
	if kind != ring.TypeRefuse {
		t.Fatalf("%s: answer is message %d, want REFUSE", text, kind)
	}
	if err := m.Decode(packet); err != nil || m.Code != code || !strings.Contains(m.Text.String(), text) {
		t.Errorf("refused with %d %q (%v), want %d with %q", m.Code, m.Text, err, code, text)
	}
	if kind, _ := p.read(); kind != 0 {
		t.Errorf("after REFUSE came message %d", kind)
	}
}

func TestAnotherUserIsRefused(t *testing.T) {
	h := newHouse(t, Options{AllowUID: []uint32{math.MaxUint32 - 7}})
	p := h.dial()
	refused(t, p, ring.RefusalPeerNotAllowed, "user")
	allowed := newHouse(t, Options{AllowUID: []uint32{uint32(os.Getuid())}})
	allowed.worker(1)
}

func TestSilentConnectionsAreCappedAndEndAtTheirDeadline(t *testing.T) {
	patient := newHouse(t, Options{})
	for range ring.MaxUnnamed {
		patient.dial()
	}
	waiting.Until(t, "all are let in", func() bool { return patient.Snapshot().Unnamed == ring.MaxUnnamed })
	refused(t, patient.dial(), ring.RefusalTooManyWorkers, "HELLO")
	h := newHouse(t, Options{HelloMs: 1000})
	silent := make([]*peer, ring.MaxUnnamed)
	for i := range silent {
		silent[i] = h.dial()
	}
	for _, p := range silent {
		if kind, _ := p.read(); kind != 0 {
			t.Errorf("a silent one is sent message %d", kind)
		}
	}
	waiting.Until(t, "one that speaks in time is let in", func() bool {
		p := h.dial()
		p.hello(hello(1))
		kind, _ := p.read()
		return kind == ring.TypeWelcome
	})
}

func TestADaemonWithoutDescriptorsSaysSoAndLetsWorkersInWhenItHasSome(t *testing.T) {
	said := &heard{}
	logtest.Hear(t, slog.NewTextHandler(said, nil))
	h := newHouse(t, Options{})
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(socket) //nolint:errcheck // it was only there to wait
	giveBack := takeDescriptors(t)
	defer giveBack()
	if err := unix.Connect(socket, &unix.SockaddrUnix{Name: h.path}); err != nil {
		t.Fatal(err)
	}
	waiting.Until(t, "it is told", func() bool { return said.count("no worker can connect") == 1 })
	giveBack()
	h.worker(1)
}

// takeDescriptors keeps the process from opening anything until the returned function is called.
func takeDescriptors(t *testing.T) (giveBack func()) {
	t.Helper()
	next, err := unix.Dup(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(next); err != nil {
		t.Fatal(err)
	}
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next), Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}
}

func TestASecondDaemonIsToldThatOneRuns(t *testing.T) {
	h := newHouse(t, Options{})
	if _, err := ListenUnix(h.path); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v, want EADDRINUSE", err)
	}
	info, err := os.Stat(h.path)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket has mode %v, %v", info.Mode(), err)
	}
}

func TestAStaleSocketIsReplaced(t *testing.T) {
	path := t.TempDir() + "/frames.sock"
	first, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	first.SetUnlinkOnClose(false) // as after kill -9
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}
