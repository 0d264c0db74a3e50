// SPDX-License-Identifier: Apache-2.0

package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/dispatch/dispatchtest"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/gateway/decode"
	"visavis/capture/internal/openinference"
	"visavis/capture/internal/preprocess"
	"visavis/capture/internal/waiting"
)

const (
	unhurried = time.Hour       // a deadline, or a timeout, that no test lives to see
	deadline  = 2 * time.Second // that is over only when a picture is where it is meant to be then
	me        = "10.0.0.3"
)

// stuck is a device whose worker never answers. One picture in its own size has a place, and two may wait.
type stuck struct {
	*gateway.Gateway
	t          *testing.T
	dispatcher *dispatch.Dispatcher
}

func openStuck(t *testing.T, deadline time.Duration) *stuck {
	t.Helper()
	return openStuckWith(t, func(settings *gateway.Settings) { settings.Deadline = deadline })
}

func openStuckWith(t *testing.T, change func(*gateway.Settings)) *stuck {
	t.Helper()
	patientMs := int(waiting.Most.Milliseconds())
	s := &stuck{t: t}
	s.dispatcher = dispatch.New(dispatch.Options{LeaseMs: patientMs, HelloMs: patientMs, Outcome: func(o dispatch.Outcome) { s.Outcome(o) }})
	settings := gateway.Settings{Model: "centerface", InputWidth: 32, InputHeight: 32, FullSide: 32, Workers: 1, Credit: 1,
		Deadline: unhurried, Queue: 2, QueuePerClient: 2, Limits: limits,
		Tools: gateway.Tools{Decode: decode.Upright, Draw: preprocess.Letterbox}}
	change(&settings)
	var err error
	if s.Gateway, err = gateway.New(settings, s.dispatcher); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	dispatchtest.Stuck(t, s.dispatcher)
	return s
}

// send asks for a picture in its own size; what it is told comes later.
func (s *stuck) send(from string, timeout time.Duration) <-chan error {
	s.t.Helper()
	return s.ask(from, openinference.Request{
		Options: openinference.Options{Full: true, Timeout: timeout}, Pixels: make([]byte, 32*32*3), Width: 32, Height: 32,
	})
}

// encoded asks for a picture of its own in the network's size.
func encoded(picture []byte) openinference.Request {
	return openinference.Request{Encoded: bytes.Clone(picture)}
}

func (s *stuck) ask(from string, asked openinference.Request) <-chan error {
	s.t.Helper()
	return s.askUntil(context.Background(), from, asked)
}

// askUntil asks for a client that has set a deadline of its own, as over gRPC.
func (s *stuck) askUntil(until context.Context, from string, asked openinference.Request) <-chan error {
	s.t.Helper()
	ctx, leave := context.WithCancel(until)
	told, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		_, _, err := s.Infer(ctx, gateway.Caller{Address: netip.MustParseAddr(from)}, func() (gateway.Call, error) {
			return gateway.Call{Model: "centerface", Request: asked}, nil
		})
		told <- err
	}()
	s.t.Cleanup(func() { leave(); <-ended })
	return told
}

// holds waits until so many pictures are with the worker, or behind it in the queue.
func (s *stuck) holds(pictures int) {
	s.t.Helper()
	waiting.Until(s.t, "they are inside", func() bool {
		inside := s.Figures().Waiting
		for _, stream := range s.dispatcher.Snapshot().Streams {
			inside += int(stream.Counters.InFlight)
		}
		return inside == pictures
	})
}

// Both have a place, and one of them the worker.
func TestAPictureThatNoWorkerHadIsToldThatTooManyCome(t *testing.T) {
	t.Parallel()
	s := openStuck(t, deadline)
	with := s.ask("10.0.0.1", encoded(asPNG(t, speckled(32, 32))))
	s.holds(1)
	behind := s.ask("10.0.0.2", encoded(asPNG(t, speckled(32, 32))))
	for told, want := range map[<-chan error]int{with: http.StatusServiceUnavailable, behind: http.StatusTooManyRequests} {
		var refused gateway.Refusal
		if err := waiting.For(t, "it is told", told); !errors.As(err, &refused) || refused.Status != want {
			t.Errorf("it is told %d, %v; want %d", refused.Status, err, want)
		}
	}
}

// Who waits for memory to be decoded has a place, too.
func TestAPictureThatWaitsToBeDecodedIsToldThatTooManyCome(t *testing.T) {
	t.Parallel()
	decoding, goOn := make(chan struct{}), make(chan struct{})
	s := openStuckWith(t, func(settings *gateway.Settings) {
		settings.Deadline = deadline
		settings.Tools.Decode = func(body []byte, header gateway.Header, reduce int, into *frame.Picture) error {
			close(decoding)
			<-goOn
			return decode.Upright(body, header, reduce, into)
		}
	})
	large := asPNG(t, image.NewGray(image.Rect(0, 0, 3900, 4000)))
	first := s.ask("10.0.0.1", encoded(large))
	waiting.For(t, "it is decoded", decoding)
	var refused gateway.Refusal
	if err := waiting.For(t, "it is told", s.ask("10.0.0.2", encoded(large))); !errors.As(err, &refused) || refused.Status != http.StatusTooManyRequests {
		t.Errorf("it is told %d, %v; want 429", refused.Status, err)
	}
	close(goOn)
	waiting.For(t, "the other one is told", first)
}

// At its own scale it would take 6.5 MB, as it has to be turned.
func TestAPictureThatFitsIntoMemoryOnlyWhenReducedIsDecodedSo(t *testing.T) {
	picture := turned(asJPEG(t, speckled(1200, 900)), 6)
	for name, full := range map[string]bool{"for the network's input": false, "in its own size": true} {
		t.Run(name, func(t *testing.T) {
			reduced := make(chan int, 1)
			s := openStuckWith(t, func(settings *gateway.Settings) {
				settings.InputWidth, settings.InputHeight, settings.FullSide = 900, 1200, 1200
				settings.Limits.DecodeBytes = 4 << 20
				settings.Tools.Decode = func(body []byte, header gateway.Header, reduce int, into *frame.Picture) error {
					reduced <- reduce
					return decode.Upright(body, header, reduce, into)
				}
			})
			asked := encoded(picture)
			asked.Options.Full = full
			s.ask(me, asked)
			if got := waiting.For(t, "it is decoded", reduced); got != 2 {
				t.Errorf("it is decoded at 1/%d of its scale, want 1/2", got)
			}
			s.holds(1)
		})
	}
}

// A call's deadline is its client's: the device may be idle. Only busy devices say that too many pictures wait.
func TestACallsOwnDeadlineIsNotTheDevices(t *testing.T) {
	t.Parallel()
	for name, within := range map[string]time.Duration{"it ends while a worker has it": deadline, "it has ended": -time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			until, cancel := context.WithTimeout(context.Background(), within)
			defer cancel()
			s := openStuck(t, unhurried)
			told := s.askUntil(until, me, encoded(asPNG(t, speckled(32, 32))))
			var refused gateway.Refusal
			if err := waiting.For(t, "it is told", told); !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable ||
				!strings.Contains(err.Error(), "own timeout is") {
				t.Errorf("it is told %v", err)
			}
		})
	}
}

// TestOnlyARequestsOwnTimeoutThatWasTooShortIsBlamed: one that sets a long timeout is told like any other what stood in its way.
func TestOnlyARequestsOwnTimeoutThatWasTooShortIsBlamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deadline, timeout time.Duration
		before            []string // who sends before it
		after             []string // and who after it
		status            int
		words             string
	}{
		"the queue is full": {unhurried, unhurried, []string{"10.0.0.1", "10.0.0.2", "10.0.0.4"}, nil,
			http.StatusTooManyRequests, "Too many pictures are waiting"},
		"it gave way to another": {unhurried, unhurried, []string{"10.0.0.1", me}, []string{"10.0.0.2"},
			http.StatusTooManyRequests, "Too many pictures are waiting"},
		"the device's is shorter": {deadline, unhurried, nil, nil, http.StatusServiceUnavailable, "gateway.deadline_ms"},
		"the device's is over in the queue": {deadline, unhurried, []string{"10.0.0.1"}, nil,
			http.StatusTooManyRequests, "Too many pictures are waiting"},
		"its own is shorter":           {unhurried, deadline, nil, nil, http.StatusServiceUnavailable, "own timeout is 2s"},
		"its own is over in the queue": {unhurried, deadline, []string{"10.0.0.1"}, nil, http.StatusServiceUnavailable, "own timeout is 2s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openStuck(t, c.deadline)
			for n, from := range c.before {
				s.send(from, 0)
				s.holds(n + 1)
			}
			told := s.send(me, c.timeout)
			for _, from := range c.after {
				s.holds(len(c.before) + 1)
				s.send(from, 0)
			}
			var refused gateway.Refusal
			if err := waiting.For(t, "it is told", told); !errors.As(err, &refused) || refused.Status != c.status || !strings.Contains(err.Error(), c.words) {
				t.Errorf("it is told %d, %v; want %d with %q", refused.Status, err, c.status, c.words)
			}
			if refused.RetryAfter == 0 {
				t.Error("it is not told when to come again")
			}
		})
	}
}
