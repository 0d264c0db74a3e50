// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"visavis/capture/internal/backoff"
	"visavis/capture/internal/config"
	"visavis/capture/internal/control"
	"visavis/capture/internal/dispatch"
	"visavis/capture/internal/frame"
	"visavis/capture/internal/gateway"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/preprocess"
	"visavis/capture/internal/ring"
	"visavis/capture/internal/source"
	"visavis/capture/internal/updown"
)

const (
	firstRetry = 200 * time.Millisecond
	mostRetry  = 3 * time.Second
	// Pictures alive at once beside those that workers have: those in the hub's order, what viewers and the painter hold, the one that
	// waits and the one being grabbed.
	picturesBeside = 12
)

var errNoPictureMemory = errors.New("all picture buffers are in use")

// camera is one configured camera: its stream in the ring, its memory for pictures, and what it last said.
type camera struct {
	settings config.Camera
	stream   *dispatch.Stream
	pool     *frame.Pool
	status   func(online bool)
	feed     *gateway.Feed // of a push: camera, else nil
	orders   *control.Camera
	show     func(*hub.Result) // a picture in which nobody looks for faces

	inputWidth, inputHeight int // of the network

	cancel context.CancelFunc
	ended  chan struct{}
	online atomic.Bool
	reason atomic.Pointer[string] // why it is offline, nil before the first try
	log    *updown.Teller         // of the goroutine of run
	healer *healer                // likewise
	gaveNs atomic.Int64           // when its newest picture came, CLOCK_MONOTONIC
	width  atomic.Int32
	height atomic.Int32
}

// newCamera makes the ring of one camera, at the size of the network's input.
func (a *Appliance) newCamera(settings config.Camera) (*camera, error) {
	width, height := a.config.Detector.Input[0], a.config.Detector.Input[1]
	stream, err := a.dispatcher.AddStream(dispatch.StreamSpec{Name: settings.ID, Width: width, Height: height})
	if err != nil {
		return nil, fmt.Errorf("make the ring of camera %s: %w", settings.ID, err)
	}
	c := &camera{
		settings: settings, stream: stream, pool: frame.NewPool(ring.MaxWorkers*a.config.Worker.Credit + picturesBeside), ended: make(chan struct{}),
		log: updown.New(time.Now), healer: newHealer(time.Now),
		inputWidth: width, inputHeight: height, orders: a.board.Camera(settings.ID, rules(a.config, settings)), show: a.web.Show,
	}
	c.status = func(online bool) { a.cameraStatus(settings.ID, online) }
	c.feed = a.feedFor(settings)
	return c, nil
}

// stop ends the camera and gives its ring and its memory back.
func (c *camera) stop() {
	c.cancel()
	<-c.ended
	if c.feed != nil {
		c.feed.Close()
	}
	c.stream.Retire()
	c.pool.Close()
}

// run keeps one camera alive: one session after another, newest frame first.
func (c *camera) run(ctx context.Context) {
	wait := backoff.New(firstRetry, mostRetry)
	for c.awaitOn(ctx) {
		on, off := c.orders.While(ctx, true)
		for on.Err() == nil {
			err := c.attempt(on, wait)
			c.heal(on, err)
			c.rest(on, wait, source.TookTurn(err))
		}
		off()
		if ctx.Err() == nil {
			c.switchedOff()
		}
	}
}

// awaitOn waits until the camera is switched on; false when ctx ended before. A client that feeds it is told meanwhile.
func (c *camera) awaitOn(ctx context.Context) bool {
	for ctx.Err() == nil && !c.orders.Now().Enabled {
		off, end := c.orders.While(ctx, false)
		if c.feed != nil {
			c.feed.Decline(off)
		} else {
			<-off.Done()
		}
		end()
	}
	return ctx.Err() == nil
}

// attempt opens the camera, and closes it when something breaks or it is not wanted any more. It returns what broke.
func (c *camera) attempt(ctx context.Context, wait *backoff.Backoff) error {
	frames, err := c.open(ctx)
	if err == nil {
		err = c.session(ctx, frames, wait)
	}
	if ctx.Err() == nil {
		c.lost(err) // before the camera is closed: a driver that hangs takes its time
	}
	if frames != nil {
		c.close(frames)
	}
	return err
}

// switchedOff notes that the camera gives no picture because nobody wants one.
func (c *camera) switchedOff() {
	c.reason.Store(nil)
	if c.online.CompareAndSwap(true, false) {
		c.status(false)
	}
}

// rest waits for the next try, or until ctx ends. A camera that is fed needs none before a picture has come; one that is plugged in
// is tried at once, and soon again, for its node may not yet be ours. One that others have waited for rests at least so long.
func (c *camera) rest(ctx context.Context, wait *backoff.Backoff, least time.Duration) {
	if c.feed != nil {
		_ = c.feed.Await(ctx) // fails only with ctx
		return
	}
	ctx, end := context.WithTimeout(ctx, max(wait.Next(), least))
	defer end()
	if source.AwaitPlug(ctx, c.settings.Source) {
		wait.Reset()
		c.healer.watch.Other()
	}
}

// lost notes why the camera is away: in the status each time, in the log only when that is news.
func (c *camera) lost(err error) {
	reason := err.Error()
	if source.Hangs(err) {
		reason += c.healer.told
	}
	c.reason.Store(&reason)
	if c.log.Lost(err.Error()) {
		slog.Warn("camera lost, trying again", "camera", c.settings.ID, "error", err)
	}
	if c.online.CompareAndSwap(true, false) {
		c.status(false)
	}
}

// waiting notes that the camera waits for others, until it is told nil.
func (c *camera) waiting() func(error) {
	var before *string
	return func(why error) {
		if why == nil {
			c.reason.Store(before)
			return
		}
		before = c.reason.Load()
		c.lost(why)
	}
}

// found notes the first picture of a session.
func (c *camera) found() {
	c.reason.Store(nil)
	if !c.online.CompareAndSwap(false, true) {
		return
	}
	if c.log.Back() {
		slog.Info("camera delivers", "camera", c.settings.ID, "width", c.width.Load(), "height", c.height.Load())
	}
	c.status(true)
}

func (c *camera) open(ctx context.Context) (source.Source, error) {
	settings, err := sourceSettings(c.settings)
	if err != nil {
		return nil, err
	}
	if c.feed != nil {
		settings.Feed = door{c.feed}
	}
	settings.Waits = c.waiting()
	return source.Open(ctx, settings)
}

func (c *camera) close(frames source.Source) {
	if err := frames.Close(); err != nil {
		slog.Warn("camera not closed well", "camera", c.settings.ID, "error", err)
	}
}

// session grabs, draws and publishes until something breaks. A camera that always breaks soon is tried ever less often.
func (c *camera) session(ctx context.Context, frames source.Source, wait *backoff.Backoff) error {
	var first time.Time
	defer func() {
		if !first.IsZero() {
			wait.Ran(time.Since(first))
			c.healer.gave(time.Since(first))
		}
	}()
	for ctx.Err() == nil {
		picture, err := c.grab(ctx, frames)
		if err != nil {
			return err
		}
		if first.IsZero() {
			first = time.Now()
		}
		c.found()
		if !c.orders.Now().Detect {
			c.showOnly(picture)
			continue
		}
		number := c.offer(picture)
		if asked, does := frames.(source.Numbered); does {
			asked.Numbered(number)
		}
	}
	return ctx.Err()
}

// showOnly gives viewers a picture in which nobody looks for faces. It is no frame: it has no number and is counted nowhere.
func (c *camera) showOnly(picture *frame.Picture) {
	defer picture.Release()
	age := time.Duration(frame.MonotonicNs() - picture.CapturedNs)
	c.show(&hub.Result{
		Camera: c.settings.ID, CapturedNs: picture.CapturedNs, CapturedAt: time.Now().Add(-age),
		Width: picture.Width, Height: picture.Height, Picture: picture, Unlooked: true,
	})
}

// grab waits for the next picture and turns it the right way up. The caller owns it.
func (c *camera) grab(ctx context.Context, frames source.Source) (*frame.Picture, error) {
	picture, err := c.picture(ctx)
	if err != nil {
		return nil, err
	}
	if err := frames.Grab(ctx, picture); err != nil {
		picture.Release()
		return nil, err
	}
	if c.settings.Rotate != 0 {
		if picture, err = c.rotated(ctx, picture); err != nil {
			return nil, err
		}
	}
	c.gaveNs.Store(frame.MonotonicNs())
	c.width.Store(int32(picture.Width))
	c.height.Store(int32(picture.Height))
	return picture, nil
}

// picture takes a free buffer; when viewers hold all of them the camera waits for one, and its driver drops meanwhile.
func (c *camera) picture(ctx context.Context) (*frame.Picture, error) {
	for {
		if picture, ok := c.pool.Get(); ok {
			return picture, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(errNoPictureMemory, ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
}

// rotated returns the turned picture and gives the one that came back to the pool.
func (c *camera) rotated(ctx context.Context, picture *frame.Picture) (*frame.Picture, error) {
	defer picture.Release()
	turned, err := c.picture(ctx)
	if err != nil {
		return nil, err
	}
	if err := preprocess.Rotate(picture, turned, c.settings.Rotate); err != nil {
		turned.Release()
		return nil, err
	}
	return turned, nil
}

// offer draws the picture into a slot and publishes it; from there on the picture belongs to the outcome. It returns the frame's number.
func (c *camera) offer(picture *frame.Picture) uint64 {
	slot := c.stream.Acquire()
	number := slot.Seq()
	if slot.Bytes() == nil {
		picture.Release()
		return number
	}
	box := geometry.Fit(picture.Width, picture.Height, c.inputWidth, c.inputHeight)
	if err := preprocess.Letterbox(picture, slot.Bytes(), box); err != nil {
		slog.Error("picture not drawn", "camera", c.settings.ID, "error", err)
		slot.Abort()
		picture.Release()
		return number
	}
	slot.Publish(dispatch.Frame{CapturedNs: picture.CapturedNs, ReadyNs: frame.MonotonicNs(), Letterbox: box, Picture: picture})
	return number
}
