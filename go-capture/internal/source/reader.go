// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gocv.io/x/gocv"

	"visavis/capture/internal/frame"
	"visavis/capture/internal/preprocess"
)

// ErrEnded says that a stream has no further picture.
var ErrEnded = errors.New("the stream ended")

const (
	// hangingLimit is how long Close waits for a read that was given up; others get the time of a picture to come, but of none that
	// comes seldom: a reload and the end of the daemon wait too.
	hangingLimit = 200 * time.Millisecond
	// retryPause keeps a lost camera, whose reads fail at once, from keeping a processor busy.
	retryPause = 50 * time.Millisecond
)

// openCVCapture is what a reader needs of a gocv.VideoCapture.
type openCVCapture interface {
	Read(into *gocv.Mat) bool
	Close() error
}

// reader reads an OpenCV capture in a goroutine of its own, because OpenCV's calls may block for ever. The goroutine
// alone touches the capture: it opens it, reads and closes it. A read that comes back late finds nobody who waits for it.
//
// A live camera is read all the time and the newest picture wins, so that nothing old waits in the driver or the
// network; a file is read on demand, so that no picture is passed over.
type reader struct {
	camera   string // its address
	patience patience
	turns    turns         // of opening
	waits    func(error)   // see Settings
	demand   chan struct{} // capacity 1: read the next picture; nil: read all the time
	fresh    chan struct{} // capacity 1: newest is unseen; closed at the stream's end
	stop     chan struct{}
	closed   chan struct{} // the capture is closed
	once     sync.Once
	broken   bool // a read was given up: what it brings later is old, so this source gives nothing any more

	filling gocv.Mat  // the goroutine's
	heard   time.Time // the goroutine's: when a read last gave a picture, or waited for one
	mine    gocv.Mat  // Grab's
	mu      sync.Mutex
	newest  gocv.Mat
	takenNs int64
	unseen  bool
}

// follow opens a live camera, followInTurn a network's, readOnDemand a file. They return when it is open, has failed, or ctx ends.
func follow(ctx context.Context, s Settings, open func() (openCVCapture, error)) (*reader, error) {
	return begin(ctx, s.OpenLimit, &reader{camera: s.URI, patience: newPatience(s.StallLimit)}, open)
}

func followInTurn(ctx context.Context, s Settings, open func() (openCVCapture, error)) (*reader, error) {
	return begin(ctx, s.OpenLimit, &reader{camera: s.URI, patience: newPatience(s.StallLimit), turns: ofFFmpeg, waits: s.Waits}, open)
}

func readOnDemand(ctx context.Context, s Settings, open func() (openCVCapture, error)) (*reader, error) {
	atOnce := patience{s.StallLimit, s.StallLimit} // a file has no start of its own, and is opened anew at its end
	r := &reader{camera: s.URI, patience: atOnce, turns: ofFFmpeg, waits: s.Waits, demand: make(chan struct{}, 1)}
	return begin(ctx, s.OpenLimit, r, open)
}

func begin(ctx context.Context, most time.Duration, r *reader, open func() (openCVCapture, error)) (*reader, error) {
	if err := mayHang(r.camera); err != nil {
		return nil, err
	}
	if err := r.turns.take(ctx, tellAfter, r.waits); err != nil {
		return nil, err
	}
	began := time.Now()
	err := r.start(ctx, most, open)
	if err == nil {
		return r, nil
	}
	if r.turns != nil {
		err = tookTurn{err, time.Since(began)}
	}
	return nil, errors.Join(err, r.Close())
}

// start starts the goroutine and waits until it has opened the capture.
func (r *reader) start(ctx context.Context, most time.Duration, open func() (openCVCapture, error)) error {
	r.fresh, r.stop, r.closed = make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	r.filling, r.newest, r.mine = gocv.NewMat(), gocv.NewMat(), gocv.NewMat()
	opened := make(chan error, 1)
	go r.run(open, opened)
	ctx, cancel := context.WithTimeoutCause(ctx, most, errNotOpened)
	defer cancel()
	select {
	case err := <-opened:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// run is the goroutine: open, read, close, and free the pictures when nobody can ask for them any more.
func (r *reader) run(open func() (openCVCapture, error), opened chan<- error) {
	from, err := open()
	r.turns.give()
	opened <- err
	if err == nil {
		r.heard = time.Now()
		for r.wanted() && r.read(from) {
		}
		_ = from.Close() // nobody is left to hear of it
	}
	close(r.fresh)
	close(r.closed)
	<-r.stop
	for _, mat := range []*gocv.Mat{&r.filling, &r.newest, &r.mine} {
		_ = mat.Close() // freeing memory does not fail
	}
}

// wanted waits for the demand for a picture; false ends the reading.
func (r *reader) wanted() bool {
	if r.demand == nil {
		select {
		case <-r.stop:
			return false
		default:
			return true
		}
	}
	select {
	case <-r.demand:
		return true
	case <-r.stop:
		return false
	}
}

// deliver makes what was read the newest picture, in place of one that nobody took.
func (r *reader) deliver(ok bool) bool {
	if !ok || r.filling.Empty() {
		return false
	}
	r.mu.Lock()
	r.filling, r.newest = r.newest, r.filling
	r.takenNs, r.unseen = frame.MonotonicNs(), true
	r.mu.Unlock()
	select {
	case r.fresh <- struct{}{}:
	default: // Grab was told already
	}
	return true
}

// read takes one picture; false ends the reading. A live camera may give one damaged picture, or wait long for its first: a read that
// failed is tried again. When they fail at once for the stall limit, a plug was pulled or a connection closed, and nothing is to come. A
// file whose read fails is at its end.
func (r *reader) read(from openCVCapture) (more bool) {
	began := time.Now()
	given := r.deliver(from.Read(&r.filling))
	now := time.Now()
	if given || now.Sub(began) > retryPause {
		r.heard = now
	}
	if !given && r.demand == nil {
		time.Sleep(retryPause)
	}
	return given || r.demand == nil && now.Sub(r.heard) < r.patience.stall
}

// Grab waits for one picture at most as long as its patience; after a stall this source is done with.
func (r *reader) Grab(ctx context.Context, into *frame.Picture) error {
	if r.broken {
		return ErrStalled
	}
	r.ask()
	takenNs, err := r.await(ctx)
	if err != nil {
		return err
	}
	r.patience.gave()
	into.CapturedNs, into.DriverSeq, into.JPEG = takenNs, 0, nil
	return copyTo(r.mine, into)
}

// await takes the next picture that is unseen. A token may be of one that was taken with the token before: when a
// second picture came between that token and its take.
func (r *reader) await(ctx context.Context) (takenNs int64, err error) {
	timer := time.NewTimer(r.patience.next)
	defer timer.Stop()
	for {
		select {
		case _, more := <-r.fresh:
			if takenNs, unseen := r.take(); unseen {
				return takenNs, nil
			}
			if !more {
				return 0, r.over()
			}
		case <-timer.C:
			r.broken = true
			return 0, ErrStalled
		case <-ctx.Done():
			r.broken = true
			return 0, ctx.Err()
		}
	}
}

// over is why no read follows.
func (r *reader) over() error {
	if r.demand == nil {
		return ErrStalled
	}
	return ErrEnded
}

// ask demands a picture of a stream that is read on demand and has not ended.
func (r *reader) ask() {
	if r.demand == nil {
		return
	}
	select {
	case r.demand <- struct{}{}:
	case <-r.closed:
	}
}

// take makes the newest picture Grab's own.
func (r *reader) take() (int64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.unseen {
		return 0, false
	}
	r.mine, r.newest, r.unseen = r.newest, r.mine, false
	return r.takenNs, true
}

func copyTo(mat gocv.Mat, into *frame.Picture) error {
	if mat.Type() != gocv.MatTypeCV8UC3 {
		return fmt.Errorf("the camera gives pictures of type %v, wanted 8-bit BGR", mat.Type())
	}
	if err := into.SetSize(mat.Cols(), mat.Rows()); err != nil {
		return err
	}
	return preprocess.Into(into, func(picture *gocv.Mat) error { return mat.CopyTo(picture) })
}

// Close frees the camera. A read that hangs is left behind and frees it when it comes back.
func (r *reader) Close() error {
	r.once.Do(func() {
		close(r.stop)
		wait := min(r.patience.stall, leastStallLimit)
		if r.broken {
			wait = hangingLimit
		}
		select {
		case <-r.closed:
		case <-time.After(wait):
			leave(r.camera, r.closed, func(struct{}) {})
		}
	})
	return nil
}
