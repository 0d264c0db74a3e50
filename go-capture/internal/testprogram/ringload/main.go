// SPDX-License-Identifier: Apache-2.0

// Command ringload feeds a ring with synthetic frames, for tests and benchmarks of workers.
//
// Every byte of a frame is byte(frame_seq). It prints {"ready":true} once the socket listens, then reads commands, one a line, and
// answers each with one line of JSON: snapshot, add NAME:WxH@FPS, retire NAME, quit.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/geometry"
)

// specs collects repeated -stream flags.
type specs []string

func (s *specs) String() string { return strings.Join(*s, " ") }

func (s *specs) Set(value string) error { *s = append(*s, value); return nil }

type load struct {
	dispatcher *dispatch.Dispatcher
	stops      map[string]func()
	copies     bool
}

// report is what `snapshot` prints.
type report struct {
	dispatch.Snapshot
	Fds, Maps int
	NowNs     int64
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "ringload:", err)
		os.Exit(1)
	}
}

func run() error {
	var streams specs
	socket := flag.String("socket", "", "path of the socket to listen on")
	flag.Var(&streams, "stream", "NAME:WxH@FPS, repeatable; fps 0 = as fast as possible")
	leaseMs := flag.Int("lease-ms", 0, "age at which a lease ends; 0 = default")
	workers := flag.Int("workers", 4, "most workers")
	credit := flag.Int("credit", 1, "leases per worker")
	crc := flag.Bool("crc", false, "send a crc32c with each frame")
	copies := flag.Bool("copy", false, "draw each frame elsewhere, note its time, then copy it into the slot")
	flag.Parse()
	listener, err := dispatch.ListenUnix(*socket)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{stops: map[string]func(){}, copies: *copies, dispatcher: dispatch.New(dispatch.Options{
		MaxWorkers: *workers, Workers: *workers, Credit: *credit, LeaseMs: *leaseMs, Checksums: *crc,
	})}
	served := make(chan error, 1)
	go func() { served <- l.dispatcher.Serve(ctx, listener) }()
	for _, spec := range streams {
		if err := l.add(spec); err != nil {
			cancel()
			return err
		}
	}
	fmt.Println(`{"ready":true}`)
	l.commands()
	for name := range l.stops {
		l.retire(name)
	}
	cancel()
	return <-served
}

// commands answers standard input until quit or its end.
func (l *load) commands() {
	input := bufio.NewScanner(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for input.Scan() {
		command, argument, _ := strings.Cut(strings.TrimSpace(input.Text()), " ")
		if command == "quit" {
			return
		}
		if err := answers.Encode(l.answer(command, argument)); err != nil {
			return // the reader is gone
		}
	}
}

func (l *load) answer(command, argument string) any {
	var err error
	switch command {
	case "snapshot":
		return report{l.dispatcher.Snapshot(), count("/proc/self/fd"), maps(), frame.MonotonicNs()}
	case "add":
		err = l.add(argument)
	case "retire":
		l.retire(argument)
	default:
		err = fmt.Errorf("unknown command %q", command)
	}
	if err != nil {
		return map[string]string{"error": err.Error()}
	}
	return map[string]bool{"ok": true}
}

func count(folder string) int {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return -1
	}
	return len(entries) - 1 // without the folder's own descriptor
}

// maps counts mappings of rings.
func maps() int {
	text, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return -1
	}
	return strings.Count(string(text), "/memfd:visavis-")
}

func (l *load) add(text string) error {
	name, size, found := strings.Cut(text, ":")
	var width, height int
	var fps float64
	if _, err := fmt.Sscanf(size, "%dx%d@%g", &width, &height, &fps); err != nil || !found {
		return fmt.Errorf("stream %q is not NAME:WxH@FPS", text)
	}
	stream, err := l.dispatcher.AddStream(dispatch.StreamSpec{Name: name, Width: width, Height: height})
	if err != nil {
		return err
	}
	l.retire(name) // the old format, after its successor is announced
	var elsewhere []byte
	if l.copies {
		elsewhere = make([]byte, 3*width*height)
	}
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		feed(fps, stop, func() { capture(stream, geometry.Fit(width, height, width, height), elsewhere) })
	}()
	l.stops[name] = func() { close(stop); <-ended; stream.Retire() }
	return nil
}

func (l *load) retire(name string) {
	if stop := l.stops[name]; stop != nil {
		delete(l.stops, name)
		stop()
	}
}

// feed captures at a steady pace.
func feed(fps float64, stop <-chan struct{}, capture func()) {
	var ticks <-chan time.Time
	if fps > 0 {
		ticker := time.NewTicker(time.Duration(float64(time.Second) / fps))
		defer ticker.Stop()
		ticks = ticker.C
	}
	for {
		if ticks != nil {
			select {
			case <-stop:
				return
			case <-ticks:
			}
		} else {
			select {
			case <-stop:
				return
			default:
				runtime.Gosched()
			}
		}
		capture()
	}
}

// capture draws a frame in its slot, or, when elsewhere has room for it, there and copies it.
func capture(stream *dispatch.Stream, box geometry.Letterbox, elsewhere []byte) {
	slot := stream.Acquire()
	bytes := slot.Bytes()
	if bytes == nil {
		return
	}
	drawn := bytes
	if elsewhere != nil {
		drawn = elsewhere
	}
	drawn[0] = byte(slot.Seq())
	for n := 1; n < len(drawn); n *= 2 {
		copy(drawn[n:], drawn[:n])
	}
	nowNs := frame.MonotonicNs() // captured means complete: filling is the test's work, not the hand-off's
	if elsewhere != nil {
		copy(bytes, elsewhere)
	}
	slot.Publish(dispatch.Frame{CapturedNs: nowNs, ReadyNs: nowNs, Letterbox: box})
}
