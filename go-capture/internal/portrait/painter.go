// SPDX-License-Identifier: Apache-2.0

// Package portrait makes the pictures of who appears: for the album, to which events refer, and for the broker, of cameras whose
// pictures may leave. A visit is shown as it began, and at its end by its best look, if that was much better.
//
// The hub, which must not wait, only puts an order into a queue (orders.go); the painter makes the pictures beside everything else.
package portrait

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"visavis/capture/internal/album"
	"visavis/capture/internal/geometry"
	"visavis/capture/internal/hub"
	"visavis/capture/internal/showing"
)

const (
	margin    = 0.75        // of the face's box, on each side
	widthMost = 320         // pixels
	lookEvery = time.Minute // for pictures in the album whose events are too old
)

// Settings of a painter.
type Settings struct {
	Album    *album.Album                                                 // nil: none are kept
	Privacy  func(camera string) string                                   // what viewers see now
	Encode   func(frame *hub.Result, style showing.Style) ([]byte, error) // shows faces as a style says
	MayLeave func(camera string) bool                                     // pictures of the camera may go to the broker; nil without one
	Send     func(frame *hub.Result, face Look) error                     // to the broker; nil without one
}

// Look is a picture of a face.
type Look struct {
	Camera, Privacy string
	JPEG            []byte
}

// Painter makes the pictures that events order, one after another. It is a hub.Leaf and a hub.Illustrator.
type Painter struct {
	*orders
	settings Settings

	hidden  chan struct{} // faces are, of some camera, that could be seen
	closing chan struct{}
	ended   chan struct{}
}

// New makes a painter that does nothing before Start; what is ordered until then waits.
func New(s Settings) *Painter {
	if s.MayLeave == nil {
		s.MayLeave = func(string) bool { return false }
	}
	p := &Painter{orders: newOrders(nil, s.MayLeave), settings: s, hidden: make(chan struct{}, 1),
		closing: make(chan struct{}), ended: make(chan struct{})}
	if s.Album != nil {
		p.expect = s.Album.Expect
	}
	return p
}

// Start begins to make what is ordered.
func (p *Painter) Start() { go p.run() }

// Close makes what is still ordered and ends. When ctx ends first, the disk hangs and the painter is left to it.
func (p *Painter) Close(ctx context.Context) error {
	close(p.closing)
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("keep the last pictures of events: %w", ctx.Err())
	}
}

func (p *Painter) run() {
	defer close(p.ended)
	old := time.NewTicker(lookEvery)
	defer old.Stop()
	p.trim()
	for {
		p.paintAll()
		select {
		case <-p.closing:
			p.paintAll()
			p.closeAlbum()
			return
		case <-old.C:
			p.trim()
		case <-p.hidden:
			p.trim()
		case <-p.wake:
		}
	}
}

// FacesHidden tells that viewers of some camera do not see faces any more: plain pictures of before go from the disk. It never waits.
func (p *Painter) FacesHidden() {
	select {
	case p.hidden <- struct{}{}:
	default:
	}
}

func (p *Painter) trim() {
	if p.settings.Album != nil {
		p.settings.Album.Trim(p.showsTooMuch)
	}
}

func (p *Painter) closeAlbum() {
	p.trim() // nobody may have had the time
	if p.settings.Album != nil {
		p.settings.Album.Close()
	}
}

// showsTooMuch tells whether a face is plain in a picture of a camera whose viewers do not see faces now.
func (p *Painter) showsTooMuch(camera, privacy string) bool {
	return showing.ShowsTooMuch(privacy, p.settings.Privacy(camera))
}

func (p *Painter) paintAll() {
	for o := p.next(); o != nil; o = p.next() {
		for _, one := range o.looks {
			p.paint(o.frame, one)
		}
		p.done(o)
	}
}

// paint makes one look. What fails costs a picture.
func (p *Painter) paint(frame *hub.Result, one wanted) {
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
func (p *Painter) look(frame *hub.Result, one wanted) (*Look, error) {
	made, err := p.lookAt(frame, one, p.settings.Privacy(frame.Camera))
	if err != nil {
		return nil, err
	}
	if one.send {
		err = p.settings.Send(frame, made)
	}
	return &made, err
}

// keep puts a look into the album, unless it shows more than viewers may see by now. An order that comes after that has it removed.
func (p *Painter) keep(id string, made *Look) {
	if made == nil || p.showsTooMuch(made.Camera, made.Privacy) {
		p.settings.Album.GiveUp(id)
		return
	}
	p.settings.Album.Keep(album.Picture{ID: id, Camera: made.Camera, Privacy: made.Privacy, JPEG: made.JPEG})
}

// lookAt shows a face and what is around it as viewers see it now.
func (p *Painter) lookAt(frame *hub.Result, one wanted, privacy string) (Look, error) {
	part := around(one.face)
	shown, err := p.settings.Encode(frame, showing.Style{Privacy: privacy, Width: widthFor(frame.Picture.Width, part), Part: part})
	return Look{frame.Camera, privacy, shown}, err
}

// around is the part of the picture that a portrait shows.
func around(face geometry.Box) geometry.Box {
	return geometry.Box{
		X: face.X - margin*face.W, Y: face.Y - margin*face.H,
		W: (1 + 2*margin) * face.W, H: (1 + 2*margin) * face.H,
	}
}

// widthFor is that of a whole picture of which a part is a portrait's width.
func widthFor(whole int, part geometry.Box) int {
	if part.W <= widthMost {
		return whole
	}
	return max(1, int(float64(whole)*(widthMost-1)/float64(part.W))) // one less: the part is widened to whole pixels
}
