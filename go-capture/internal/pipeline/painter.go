// SPDX-License-Identifier: Apache-2.0

package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"visavis/capture/internal/album"
	"visavis/capture/internal/config"
	"visavis/capture/internal/history"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/mqtt"
	"visavis/capture/internal/state"
	"visavis/capture/internal/web"
)

// lookEvery is how often the album looks for pictures whose events are too old.
const lookEvery = time.Minute

// painter makes the pictures that were ordered, one after another.
type painter struct {
	ordered *portraits
	album   *album.Album // nil: none are kept
	privacy func(camera string) string
	send    func(r *hub.Result, face look) error // to the broker; nil without one

	closing chan struct{}
	ended   chan struct{}
}

// pictureFolder is where pictures of events are kept; it fails when there is no folder for anything.
func pictureFolder(c *config.Config) (string, error) {
	folder, err := state.Folder()
	return filepath.Join(folder, "thumbnails", c.Device.ID), err
}

// openAlbum is nil when the configuration wants no pictures or there is no folder for anything.
func openAlbum(c *config.Config, events *history.History) *album.Album {
	folder, err := pictureFolder(c)
	if err != nil || c.History.ThumbnailsMb == 0 {
		return nil
	}
	return album.New(album.Settings{Folder: folder, MostBytes: int64(c.History.ThumbnailsMb) << 20, Oldest: events.Oldest})
}

// forgetPictures removes what was kept when the configuration wanted pictures.
func forgetPictures(c *config.Config) {
	folder, err := pictureFolder(c)
	if err != nil {
		return // none can have been kept
	}
	if err := album.Empty(folder); err != nil {
		slog.Warn("no pictures of events are wanted, and those of before may stay", "folder", folder, "error", err)
	}
}

// newPainter is nil when nobody wants pictures.
func (a *Appliance) newPainter() *painter {
	if a.album == nil && a.mqtt == nil {
		return nil
	}
	rules := portraitRules{leaves: func(string) bool { return false }}
	made := &painter{album: a.album, privacy: a.privacy, closing: make(chan struct{}), ended: make(chan struct{})}
	if a.album != nil {
		rules.expect = a.album.Expect
	}
	if a.mqtt != nil {
		rules.leaves, made.send = a.mayLeave, a.sendPictures
	}
	made.ordered = newPortraits(rules)
	return made
}

// Start begins to make what is ordered.
func (p *painter) Start() { go p.run() }

// Close makes what is still ordered and ends. When ctx ends first, the disk hangs and the painter is left to it.
func (p *painter) Close(ctx context.Context) error {
	close(p.closing)
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("keep the last pictures of events: %w", ctx.Err())
	}
}

func (p *painter) run() {
	defer close(p.ended)
	old := time.NewTicker(lookEvery)
	defer old.Stop()
	p.trim()
	for {
		p.paintAll()
		select {
		case <-p.closing:
			p.paintAll()
			if p.album != nil {
				p.album.Close()
			}
			return
		case <-old.C:
			p.trim()
		case <-p.ordered.wake:
		}
	}
}

func (p *painter) trim() {
	if p.album != nil {
		p.album.Trim()
	}
}

func (p *painter) paintAll() {
	for o := p.ordered.next(); o != nil; o = p.ordered.next() {
		for _, one := range o.looks {
			p.paint(o.frame, one)
		}
		p.ordered.done(o)
	}
}

// paint makes one look. What fails costs a picture.
func (p *painter) paint(frame *hub.Result, one wanted) {
	if frame == nil {
		p.keep(one.id, one.of.best)
		return
	}
	made, err := p.look(frame, one)
	if err != nil {
		slog.Warn("no picture of who appeared", "camera", frame.Camera, "error", err)
	}
	switch {
	case one.id != "":
		p.keep(one.id, made)
	case made != nil:
		one.of.best = made
	}
}

// look makes a picture, and sends it if it may leave.
func (p *painter) look(frame *hub.Result, one wanted) (*look, error) {
	made, err := lookAt(frame, one, p.privacy(frame.Camera))
	if err != nil {
		return nil, err
	}
	if one.send {
		err = p.send(frame, made)
	}
	return &made, err
}

func (p *painter) keep(id string, made *look) {
	if made == nil {
		p.album.GiveUp(id)
		return
	}
	p.album.Keep(album.Picture{ID: id, Camera: made.camera, Privacy: made.privacy, JPEG: made.jpeg})
}

// lookAt shows a face and what is around it as viewers see it now.
func lookAt(frame *hub.Result, one wanted, privacy string) (look, error) {
	part := around(one.face)
	jpeg, err := encodePart(frame, web.JPEGStyle{Privacy: privacy, Width: widthFor(frame.Picture.Width, part)}, part)
	return look{frame.Camera, privacy, jpeg}, err
}

// sendPictures lets the newest picture and the face in it go to the broker.
func (a *Appliance) sendPictures(r *hub.Result, face look) error {
	whole, err := encode(r, web.JPEGStyle{Privacy: face.privacy})
	if err != nil {
		return err
	}
	a.ordering.Lock() // an order to hide faces comes before, or takes back what is sent here
	defer a.ordering.Unlock()
	plain := face.privacy == web.PrivacyNone
	if plain && a.privacy(r.Camera) != web.PrivacyNone {
		return nil
	}
	a.mqtt.SetSnapshot(r.Camera, mqtt.Picture{JPEG: whole, Plain: plain})
	a.mqtt.SetLastFace(r.Camera, mqtt.Picture{JPEG: face.jpeg, Plain: plain})
	return nil
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
