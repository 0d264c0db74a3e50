// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"log/slog"
	"sync"

	"golang.org/x/time/rate"

	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/web"
)

const (
	portraitsPerSecond = 1
	portraitMargin     = 0.75 // of the face's box, on each side
)

// portraits sends pictures of who appears, of cameras whose pictures may leave. It is a hub.Leaf: what it cannot keep up with it leaves out.
type portraits struct {
	allowed func(camera string) bool
	send    func(portrait) error
	wake    chan struct{}

	mu      sync.Mutex
	newest  map[string]uint64 // track of who appeared last, by camera
	rates   map[string]*rate.Limiter
	waiting map[string]portrait
}

// portrait is the frame in which somebody was first believed. Its picture is retained.
type portrait struct {
	result hub.Result
	face   geometry.Box
}

func newPortraits(allowed func(string) bool, send func(portrait) error) *portraits {
	return &portraits{
		allowed: allowed, send: send, wake: make(chan struct{}, 1),
		newest: map[string]uint64{}, rates: map[string]*rate.Limiter{}, waiting: map[string]portrait{},
	}
}

// Take implements hub.Leaf.
func (p *portraits) Take(r *hub.Result) {
	if r.Picture == nil || !p.allowed(r.Camera) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	face, isNew := p.stranger(r)
	if !isNew || !p.rate(r.Camera).Allow() {
		return
	}
	if before, waits := p.waiting[r.Camera]; waits {
		before.result.Picture.Release()
	}
	r.Picture.Retain()
	p.waiting[r.Camera] = portrait{*r, face.Box}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// stranger is the newest face of a frame, if it is newer than all of before: tracks are numbered upwards.
func (p *portraits) stranger(r *hub.Result) (newest hub.Face, isNew bool) {
	last := p.newest[r.Camera]
	for _, face := range r.Faces {
		if face.Track > last {
			newest, last, isNew = face, face.Track, true
		}
	}
	p.newest[r.Camera] = last
	return newest, isNew
}

func (p *portraits) rate(camera string) *rate.Limiter {
	if p.rates[camera] == nil {
		p.rates[camera] = rate.NewLimiter(portraitsPerSecond, 1)
	}
	return p.rates[camera]
}

// Run sends what waits until ctx ends.
func (p *portraits) Run(ctx context.Context) error {
	defer p.letGo()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.wake:
		}
		for _, one := range p.take() {
			if err := p.send(one); err != nil {
				slog.Warn("no picture of who appeared", "camera", one.result.Camera, "error", err)
			}
			one.result.Picture.Release()
		}
	}
}

func (p *portraits) letGo() {
	for _, one := range p.take() {
		one.result.Picture.Release()
	}
}

func (p *portraits) take() map[string]portrait {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.waiting
	p.waiting = map[string]portrait{}
	return taken
}

// around is the part of the picture that a portrait shows.
func around(face geometry.Box) geometry.Box {
	return geometry.Box{
		X: face.X - portraitMargin*face.W, Y: face.Y - portraitMargin*face.H,
		W: (1 + 2*portraitMargin) * face.W, H: (1 + 2*portraitMargin) * face.H,
	}
}

// publishPictures lets portraits go to the broker.
func (a *Appliance) publishPictures() *portraits {
	return newPortraits(a.mayLeave, func(one portrait) error {
		style := web.JPEGStyle{Privacy: a.privacy(one.result.Camera)}
		whole, err := encode(&one.result, style)
		if err != nil {
			return err
		}
		face, err := encodePart(&one.result, style, around(one.face))
		if err != nil {
			return err
		}
		a.mqtt.SetSnapshot(one.result.Camera, whole)
		a.mqtt.SetLastFace(one.result.Camera, face)
		return nil
	})
}

// mayLeave tells whether pictures of a camera may go over MQTT.
func (a *Appliance) mayLeave(camera string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, known := a.cameras[camera]
	return known && c.settings.Snapshots
}

// privacy is what holds at a camera now; of one that is gone, everything is hidden.
func (a *Appliance) privacy(camera string) string {
	now, known := (*view)(a).Privacy(camera)
	if !known {
		return web.PrivacyPixelate
	}
	return now
}
