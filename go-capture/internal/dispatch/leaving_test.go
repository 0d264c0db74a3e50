// SPDX-License-Identifier: Apache-2.0

package dispatch

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"visavis/capture/internal/logtest"
	"visavis/capture/internal/ring"
	"visavis/capture/internal/waiting"
)

// ends are those of one connection.
func ends(t *testing.T) (ours, theirs *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	var both [2]*net.UnixConn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "end")
		conn, err := net.FileConn(file)
		if err != nil {
			t.Fatal(err)
		}
		_ = file.Close() // conn has one of its own
		both[i] = conn.(*net.UnixConn)
		t.Cleanup(func() { _ = both[i].Close() }) // often closed before
	}
	return both[0], both[1]
}

// unheard connects a worker to a daemon that reads nothing of what it says until it hears it.
func (h *house) unheard(m ring.Hello) (*peer, *worker) {
	h.t.Helper()
	ours, theirs := ends(h.t)
	raw, err := ours.SyscallConn()
	if err != nil {
		h.t.Fatal(err)
	}
	w, no := h.join(ours, raw, m)
	if no != nil {
		h.t.Fatal(no.text)
	}
	return h.peerAt(theirs), w
}

// The daemon had no time to read what the worker said before it went.
func TestOfAWorkerThatHasGoneNoFrameIsLost(t *testing.T) {
	said := &heard{}
	logtest.Hear(t, slog.NewTextHandler(said, nil))
	h := newHouse(t, Options{Credit: 2})
	s := h.stream("door")
	p, w := h.unheard(named("leaving", 2))
	publish(s)
	held, _ := p.frame()
	p.credit(0)
	p.answer(ring.Result{LeaseID: held.LeaseID})
	p.close()
	publish(s)
	if c := h.counters("door"); c.InFlight != 2 || c.Abandoned != 0 {
		t.Fatalf("of one frame that it has answered, and one that it never had, %+v is left", c)
	}
	h.hear(w)
	if c := h.counters("door"); c.Inferred != 1 || c.InFlight != 1 {
		t.Errorf("what it answered before it went is %+v", c)
	}
	if got, ok := h.worker(1).frame(); !ok || got.FrameSeq != 2 {
		t.Errorf("the next worker got %+v", got)
	}
	if c := h.counters("door"); c.Abandoned != 0 || c.LentAgain != 0 || said.count("worker=leaving") != 0 {
		t.Errorf("a worker that went in order: %+v\n%s", c, said.all())
	}
}

// It went with a frame unread, and the daemon reads before it sends anything.
func TestWhatAWorkerAnsweredBeforeItWentCountsBesideAFrameThatItLeft(t *testing.T) {
	h := newHouse(t, Options{Credit: 2})
	s := h.stream("door")
	p, w := h.unheard(hello(2))
	publish(s)
	held, _ := p.frame()
	publish(s)
	p.answer(ring.Result{LeaseID: held.LeaseID})
	p.close()
	h.hear(w)
	if c := h.counters("door"); c.Inferred != 1 || c.Abandoned != 1 {
		t.Errorf("one frame was answered, and one lay unread: %+v", c)
	}
}

func TestAWorkerThatReadsNothingMoreButStaysLosesItsPlace(t *testing.T) {
	h := newHouse(t, Options{MaxWorkers: 1, LeaseMs: 50})
	s := h.stream("door")
	p, w := h.unheard(hello(1))
	if err := p.conn.CloseRead(); err != nil {
		t.Fatal(err)
	}
	publish(s)
	h.hear(w)
	if n := len(h.Snapshot().Workers); n != 0 {
		t.Errorf("%d workers are connected", n)
	}
}

// A picture in its own size has one try.
func TestAClientsPictureThatCannotBeSentHasItsTryYet(t *testing.T) {
	h := newHouse(t, Options{})
	s := h.large()
	gone, w := h.unheard(hello(1))
	gone.close()
	publishLarge(s, 64, 32)
	h.hear(w)
	p := h.worker(1)
	m, ok := p.frame()
	if !ok || m.FrameSeq != 1 {
		t.Fatalf("the next worker got %+v", m)
	}
	p.answer(ring.Result{LeaseID: m.LeaseID})
	waiting.Until(t, "it is inferred", func() bool { return h.counters("@large").Inferred == 1 })
}

// It reads nothing, but its end is open.
func TestAFrameThatAStuckWorkerHasNoRoomForGoesToAnother(t *testing.T) {
	h := newHouse(t, Options{})
	s := h.stream("door")
	_, w := h.unheard(hello(1))
	if err := unix.SetsockoptInt(descriptor(t, w), unix.SOL_SOCKET, unix.SO_SNDBUF, 0); err != nil {
		t.Fatal(err)
	}
	for w.send(make([]byte, ring.FrameBytes), nil) == nil {
	}
	publish(s)
	if n := len(h.Snapshot().Workers); n != 0 {
		t.Errorf("%d workers are connected", n)
	}
	if m, ok := h.worker(1).frame(); !ok || m.FrameSeq != 1 {
		t.Errorf("the next worker got %+v", m)
	}
}

func descriptor(t *testing.T, w *worker) (fd int) {
	t.Helper()
	if err := w.raw.Control(func(number uintptr) { fd = int(number) }); err != nil {
		t.Fatal(err)
	}
	return fd
}

func TestADaemonThatEndsLeavesNoWorkerConnected(t *testing.T) {
	for what, end := range map[string]func(stop func(), listener *net.UnixListener) error{
		"it is told to":        func(stop func(), _ *net.UnixListener) error { stop(); return nil },
		"its socket is closed": func(_ func(), listener *net.UnixListener) error { _ = listener.Close(); return net.ErrClosed },
	} {
		h := &house{Dispatcher: New(Options{HelloMs: patientMs}), t: t, path: filepath.Join(t.TempDir(), "frames.sock")}
		listener, err := ListenUnix(h.path)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := make(chan error, 1)
		go func() { ended <- h.Serve(ctx, listener) }()
		p := h.worker(1)
		want := end(stop, listener)
		if err := waiting.For(t, "the daemon ends", ended); !errors.Is(err, want) {
			t.Errorf("%s: it ends with %v, want %v", what, err, want)
		}
		if kind, _ := p.read(); kind != 0 || len(h.Snapshot().Workers) != 0 {
			t.Errorf("%s: the worker is sent message %d, and %d are connected", what, kind, len(h.Snapshot().Workers))
		}
	}
}

func TestAWorkerThatConnectsWhileTheDaemonEndsIsClosed(t *testing.T) {
	open := &connections{}
	ours, theirs := ends(t)
	open.closeAll()
	open.start(ours, func(*net.UnixConn) { t.Error("it is served") })
	open.wait.Wait()
	if err := theirs.SetReadDeadline(time.Now().Add(waiting.Most)); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("it reads %v", err)
	}
}
