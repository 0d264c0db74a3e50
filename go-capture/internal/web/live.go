// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"visavis/capture/internal/websockets"
)

const (
	liveSummary = "Live picture as a WebSocket: for each frame a text message, the detections as JSON, then a binary one, the JPEG " +
		"of the same frame; a picture in which nobody has looked for faces comes without its text"

	// farewellTimeout is how long a picture that is being sent may take when no other will come. The device stops in bounded time.
	farewellTimeout = time.Second

	// mostAcknowledgement is all that a viewer may send at once: what it says does not matter.
	mostAcknowledgement = 125
)

// live sends each picture of one camera with its detections until the viewer, the camera or the server goes.
func (s *Server) live(w http.ResponseWriter, r *http.Request) error {
	query, err := queryOf(r)
	if err != nil {
		return err
	}
	v, err := readViewer(query)
	if err != nil {
		return err
	}
	ahead, err := aheadParameter.read(query)
	if err != nil {
		return err
	}
	if _, err := s.studioFor(r.PathValue("id")); err != nil {
		return err
	}
	return s.watch(r, v, func(studio *studio) error {
		if !websockets.Wanted(r) { // a page that got no WebSocket asks again plainly why: what refuses viewers comes first
			return refusal{Status: http.StatusUpgradeRequired, Title: "This is a WebSocket",
				Detail: "Connect with ws:// instead, or ask for stream.mjpeg."}
		}
		if !s.enter() {
			return nil
		}
		defer s.working.Done()
		limitSendBuffer(r.Context())
		connection, err := websockets.Accept(w, r)
		if err != nil {
			return nil // Accept has answered
		}
		defer func() { _ = connection.CloseNow() }() // it may be closed already
		s.converse(r.Context(), connection, newRoom(int(ahead)), studio, v)
		return nil
	})
}

// converse sends the newest picture whenever there is room for one under way.
func (s *Server) converse(ctx context.Context, connection *websockets.Socket, room *room, from *studio, v *viewer) {
	ctx, end := context.WithCancel(ctx)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		defer end()
		room.listen(ctx, connection)
	}()
	defer func() { <-listening }()
	defer end()
	go from.endSoon(ctx, end)
	s.sendAll(ctx, connection, room, from, v)
	select {
	case <-from.done:
		websockets.GoAway(connection, "the camera has gone, or the device stops: connect again")
	default: // the viewer has gone, or is too slow
	}
}

// endSoon ends a viewer's context a moment after its camera has gone: one that takes its pictures is told, and one that takes none holds
// up nobody.
func (s *studio) endSoon(ctx context.Context, end context.CancelFunc) {
	select {
	case <-s.done:
	case <-ctx.Done():
		return
	}
	select {
	case <-time.After(farewellTimeout):
		end()
	case <-ctx.Done():
	}
}

// sendAll sends until the viewer or the camera goes, or a picture takes too long.
func (s *Server) sendAll(ctx context.Context, connection *websockets.Socket, room *room, from *studio, v *viewer) {
	for s.waitForRoom(ctx, room, from) {
		select {
		case <-ctx.Done():
			return
		case <-from.done:
			return
		case <-v.ready:
		}
		picture := from.collect(v)
		if picture == nil {
			continue
		}
		if s.sendLive(ctx, connection, picture) != nil {
			return
		}
		from.countSent()
		room.take()
	}
}

// waitForRoom tells whether the viewer has made room within the write timeout; until then it loses frames.
func (s *Server) waitForRoom(ctx context.Context, room *room, from *studio) bool {
	ctx, cancel := context.WithTimeout(ctx, s.settings.WriteTimeout)
	defer cancel()
	for room.full() {
		select {
		case <-ctx.Done():
			return false
		case <-from.done:
			return false
		case <-room.acknowledged:
			room.give()
		}
	}
	return true
}

func (s *Server) sendLive(ctx context.Context, connection *websockets.Socket, picture *still) error {
	ctx, cancel := context.WithTimeout(ctx, s.settings.WriteTimeout)
	defer cancel()
	if picture.detections != nil {
		if err := connection.Write(ctx, websocket.MessageText, picture.detections); err != nil {
			return err
		}
	}
	return connection.Write(ctx, websocket.MessageBinary, picture.jpeg)
}

// room counts the pictures under way to one viewer. A browser takes whatever comes and shows it late: without this a slow
// phone would see what happened seconds ago and call it live.
type room struct {
	most, used   int // most is 0 when nobody waits
	acknowledged chan struct{}
}

func newRoom(most int) *room {
	return &room{most: most, acknowledged: make(chan struct{}, max(1, most))}
}

func (r *room) full() bool { return r.most > 0 && r.used >= r.most }
func (r *room) take()      { r.used++ }
func (r *room) give()      { r.used = max(0, r.used-1) }

// listen counts the viewer's messages until it goes.
func (r *room) listen(ctx context.Context, connection *websockets.Socket) {
	connection.SetReadLimit(mostAcknowledgement)
	for {
		if _, _, err := connection.Read(ctx); err != nil {
			return
		}
		select {
		case r.acknowledged <- struct{}{}:
		default: // more than were sent: whoever says so cannot gain by it
		}
	}
}
