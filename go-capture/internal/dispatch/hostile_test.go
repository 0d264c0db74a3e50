// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

// attacks send one wrong thing each, given a lease of the attacker and one of somebody else.
var attacks = map[string]func(p *peer, own, foreign uint64){
	"garbage":            func(p *peer, _, _ uint64) { p.send([]byte("0123456789abcdef")) },
	"a short packet":     func(p *peer, _, _ uint64) { p.send([]byte{1}) },
	"a zero-length one":  func(p *peer, _, _ uint64) { p.sendEmpty() },
	"HELLO again":        func(p *peer, _, _ uint64) { p.hello(hello(1)) },
	"FRAME to daemon":    func(p *peer, own, _ uint64) { p.sendHead(ring.TypeFrame, ring.FrameBytes) },
	"unknown lease":      func(p *peer, _, _ uint64) { p.answer(ring.Result{LeaseID: 1 << 60}) },
	"another's lease":    func(p *peer, _, foreign uint64) { p.answer(ring.Result{LeaseID: foreign}) },
	"a lease twice":      func(p *peer, own, _ uint64) { p.answer(ring.Result{LeaseID: own}); p.answer(ring.Result{LeaseID: own}) },
	"wrong length":       func(p *peer, own, _ uint64) { p.send(resultPacket(ring.Result{LeaseID: own}, nil)[:60]) },
	"count beyond bytes": func(p *peer, own, _ uint64) { p.sendResultClaiming(own, 3) },
	"a huge count":       func(p *peer, own, _ uint64) { p.sendResultClaiming(own, math.MaxUint32) },
	"too many":           func(p *peer, own, _ uint64) { p.answer(ring.Result{LeaseID: own}, make([]ring.Detection, 11)...) },
	"200 KB":             func(p *peer, _, _ uint64) { p.send(make([]byte, 200_000)) },
	"NaN":                func(p *peer, own, _ uint64) { p.answer(ring.Result{LeaseID: own}, ring.Detection{Score: nan()}) },
	"infinite box":       func(p *peer, own, _ uint64) { p.answer(ring.Result{LeaseID: own}, ring.Detection{X2: inf()}) },
	"NaN landmark": func(p *peer, own, _ uint64) {
		p.answer(ring.Result{LeaseID: own}, ring.Detection{Landmarks: [5][2]float32{4: {1: nan()}}})
	},
	"too much credit": func(p *peer, _, _ uint64) {
		packet := make([]byte, ring.CreditBytes)
		(&ring.Credit{Credit: ring.MaxCredit + 1}).Put(packet)
		p.send(packet)
	},
}

// TestANameThatIsNoTextBecomesOne: what shows names, such as /metrics, may refuse bytes that are no UTF-8.
func TestANameThatIsNoTextBecomesOne(t *testing.T) {
	h := newHouse(t, Options{})
	said := hello(1)
	copy(said.Name[:], "\xff\xfew")
	h.dial().hello(said)
	waiting.Until(t, "the worker is in", func() bool { return len(h.Snapshot().Workers) == 1 })
	if got := h.Snapshot().Workers[0].Name; !utf8.ValidString(got) {
		t.Errorf("the name is %q", got)
	}
}

func nan() float32 { return float32(math.NaN()) }
func inf() float32 { return float32(math.Inf(1)) }

func (p *peer) sendHead(kind uint16, length uint32) {
	packet := make([]byte, length)
	(&ring.Head{Type: kind, Length: length}).Put(packet)
	p.send(packet)
}

func (p *peer) sendResultClaiming(lease uint64, count uint32) {
	packet := resultPacket(ring.Result{LeaseID: lease}, nil)
	packet[20], packet[21], packet[22], packet[23] = byte(count), byte(count>>8), byte(count>>16), byte(count>>24)
	p.send(packet)
}

func (p *peer) sendEmpty() {
	raw, err := p.conn.SyscallConn()
	if err != nil {
		p.t.Error(err)
		return
	}
	if err := sendOnce(raw, nil, nil); err != nil {
		p.t.Error(err)
	}
}

func TestAHostileWorkerIsClosedAndTheHonestOneGoesOn(t *testing.T) {
	h := newHouse(t, Options{MaxDetections: 10})
	s := h.stream("door")
	honest := h.worker(1)
	publish(s)
	held, _ := honest.frame()
	fds := openFds(t)
	for name, attack := range attacks {
		attacker := h.worker(1)
		publish(s)
		m, ok := attacker.frame()
		if !ok {
			t.Fatalf("%s: the attacker got no lease", name)
		}
		attack(attacker, m.LeaseID, held.LeaseID)
		if _, more := attacker.frame(); more {
			t.Errorf("%s: got another lease", name)
		}
		waiting.Until(t, name+" closes the connection", func() bool { return len(h.Snapshot().Workers) == 1 })
		attacker.close()
		honest.answer(ring.Result{LeaseID: held.LeaseID})
		before := held.LeaseID
		publish(s)
		if held, ok = honest.frame(); !ok || held.LeaseID <= before {
			t.Fatalf("%s: the honest worker got nothing", name)
		}
	}
	waiting.Until(t, "descriptors are back", func() bool { return openFds(t) <= fds }) // fewer: what an earlier test has just closed may have counted
	c := h.counters("door")
	if c.Inferred != uint64(len(attacks))+1 || c.Abandoned != uint64(len(attacks))-1 {
		t.Errorf("counters are %+v; one attack answers its lease once", c)
	}
}

// Subscribers count on scores from 0 to 1 and on times that do not run backwards, and so does Prometheus.
func TestWhatAWorkerSaysOfScoresAndTimesStaysWithinWhatCanBe(t *testing.T) {
	h := newHouse(t, Options{})
	s, p := h.stream("door"), h.worker(1)
	lies := [][3]int64{{math.MinInt64, math.MaxInt64, math.MinInt64}, {math.MaxInt64, math.MinInt64, math.MaxInt64}, {0, 0, 0}}
	for i, said := range lies {
		publish(s)
		m, _ := p.frame()
		p.answer(ring.Result{LeaseID: m.LeaseID, ReceivedNs: said[0], InferBeginNs: said[1], InferEndNs: said[2]},
			ring.Detection{Score: math.MaxFloat32}, ring.Detection{Score: -1})
		waiting.Until(t, "the outcome", func() bool { return h.fates()[Inferred] == uint64(i)+1 })
		o := h.outcomes[i]
		if times := []int64{o.DispatchNs, o.ReceivedNs, o.InferBeginNs, o.InferEndNs, o.ResultNs}; !slices.IsSorted(times) {
			t.Errorf("%v becomes %v", said, times)
		}
		if high, low := o.Detections[0].Score, o.Detections[1].Score; high != 1 || low != 0 {
			t.Errorf("scores %v and %v", high, low)
		}
	}
}

func TestDescriptorsThatAWorkerSendsAreDropped(t *testing.T) {
	h := newHouse(t, Options{})
	p := h.worker(1)
	sent, err := unix.MemfdCreate("unwanted", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(sent)
	packet := make([]byte, ring.CreditBytes)
	(&ring.Credit{Credit: 1}).Put(packet)
	raw, err := p.conn.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := sendOnce(raw, packet, unix.UnixRights(sent, sent, sent)); err != nil {
		t.Fatal(err)
	}
	if kind, _ := p.read(); kind != 0 {
		t.Errorf("the sender goes on with message %d", kind)
	}
	waiting.Until(t, "only our own descriptor stays", func() bool { return fdsOf(t, "/memfd:unwanted") == 1 })
}

// fdsOf counts this process's descriptors of one file.
func fdsOf(t *testing.T, name string) int {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, name) {
			count++
		}
	}
	return count
}

func openFds(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func ringMaps(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "/memfd:visavis-")
}

func TestSixtyChangesOfStreamsLeaveNothingBehind(t *testing.T) {
	h := newHouse(t, Options{Credit: 2})
	var answered atomic.Uint64
	worker := h.worker(2)
	ended := make(chan struct{})
	go func() { defer close(ended); worker.serve(func(ring.Frame) { answered.Add(1) }) }()
	fds, maps := openFds(t), ringMaps(t)
	var old *Stream
	for n := range 60 {
		s, err := h.AddStream(StreamSpec{Name: "door", Width: 16 + 16*(n%3), Height: 16})
		if err != nil {
			t.Fatal(err)
		}
		if old != nil {
			old.Retire()
		}
		old = s
		before := answered.Load()
		waiting.Until(t, "a frame of the new ring is answered", func() bool { publish(s); return answered.Load() > before+2 })
	}
	old.Retire()
	waiting.Until(t, "all rings are gone", func() bool { return h.Snapshot().Streams[0].Rings == 0 })
	// What an earlier test has just closed may still have counted at the start.
	waiting.Until(t, fmt.Sprintf("no more than %d descriptors and %d mappings", fds, maps), func() bool { return openFds(t) <= fds && ringMaps(t) <= maps })
	if c := h.counters("door"); c.Captured != c.Inferred+c.Superseded+c.NoSlot || c.Abandoned != 0 {
		t.Errorf("counters are %+v", c)
	}
	worker.conn.Close() //nolint:errcheck // ends serve
	waiting.For(t, "the worker ends", ended)
}
