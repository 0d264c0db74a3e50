// SPDX-License-Identifier: Apache-2.0

package web

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"visavis/capture/internal/clientnet"
)

const (
	boundary   = "visavis"
	streamType = "multipart/x-mixed-replace; boundary=" + boundary

	// sendBufferBytes bounds what the kernel holds for a stream: about two frames. The default of some megabytes would let
	// a slow viewer see what happened seconds ago and call it live.
	sendBufferBytes = 128 << 10
)

// multipart wraps a JPEG as a part of a stream. The boundary that ends the part follows at once: browsers show a picture
// only when they see it, which would otherwise be one frame late.
func multipart(jpeg []byte) (part, inside []byte) {
	head := fmt.Sprintf("Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n", len(jpeg))
	const tail = "\r\n--" + boundary + "\r\n"
	part = make([]byte, 0, len(head)+len(jpeg)+len(tail))
	part = append(append(append(part, head...), jpeg...), tail...)
	return part, part[len(head) : len(head)+len(jpeg)]
}

// stream serves the live picture of one camera until the viewer, the camera or the server goes.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) error {
	query, err := queryOf(r)
	if err != nil {
		return err
	}
	v, err := readViewer(query)
	if err != nil {
		return err
	}
	return s.watch(r, v, func(studio *studio) error {
		streamHeader(w.Header())
		if r.Method != http.MethodHead {
			limitSendBuffer(r.Context())
			s.feed(w, r, studio, v)
		}
		return nil
	})
}

// watch lets v look at the camera of its request for as long as show runs.
func (s *Server) watch(r *http.Request, v *viewer, show func(*studio) error) error {
	studio, err := s.studioFor(r.PathValue("id"))
	if err != nil {
		return err
	}
	who := s.visitorOf(r)
	if err := s.admit(who); err != nil {
		return err
	}
	defer s.viewers.GiveBack(who.Name)
	if err := studio.join(v); err != nil {
		return err
	}
	defer studio.leave(v)
	return show(studio)
}

// readViewer reads what the viewer asks for.
func readViewer(query url.Values) (*viewer, error) {
	shown, err := readLook(query)
	if err != nil {
		return nil, err
	}
	fps, err := fpsParameter.read(query)
	if err != nil {
		return nil, err
	}
	v := &viewer{look: shown, ready: make(chan struct{}, 1)}
	if fps > 0 {
		v.intervalNs = int64(float64(time.Second) / fps)
	}
	return v, nil
}

func streamHeader(h http.Header) {
	h.Set("Content-Type", streamType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")       // a proxy that collects frames would delay them
	h.Set("Transfer-Encoding", "identity") // no chunks: one system call a frame instead of three
}

// feed sends one picture after another. The viewer is closed when it cannot take a frame within the write timeout; until
// then it loses frames, and nobody else notices.
func (s *Server) feed(w http.ResponseWriter, r *http.Request, from *studio, v *viewer) {
	send := sender(w, s.settings.WriteTimeout)
	for alive := send([]byte("--" + boundary + "\r\n")); alive; {
		select {
		case <-r.Context().Done():
			return
		case <-from.done:
			return
		case <-v.ready:
		}
		if picture := from.collect(v); picture != nil {
			if alive = send(picture.part); alive {
				from.countSent()
			}
		}
	}
}

// connectionKey finds the connection in a request's context.
type connectionKey struct{}

func keepConnection(ctx context.Context, connection net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, connection)
}

func limitSendBuffer(ctx context.Context) {
	connection, known := ctx.Value(connectionKey{}).(net.Conn)
	if !known {
		return
	}
	if connection, ok := clientnet.Direct(connection).(*net.TCPConn); ok {
		_ = connection.SetWriteBuffer(sendBufferBytes) // without it the stream works, with more delay for slow viewers
	}
}
