// SPDX-License-Identifier: Apache-2.0

package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"visavis/capture/internal/history"
)

const (
	eventStreamType = "text/event-stream"
	heartbeatEvery  = 15 * time.Second          // so that a proxy does not take a quiet stream for a dead one
	streamGreeting  = "retry: 2000\nid: %s\n\n" // so that who is cut off before the first event comes back to this place
	heartbeat       = ":\n\n"
	eventsPerRead   = 100
)

// followEvents sends events as they come, from where the browser was before (Last-Event-ID), or from `since`, or from now on. Nothing
// is queued for a reader: it has a place in the past, and one that is slow reads on there. One that takes nothing is closed.
func (s *Server) followEvents(w http.ResponseWriter, r *http.Request, q history.Query) error {
	asked, now := q.After, s.lastEvent()
	if after := r.Header.Get("Last-Event-ID"); after != "" && since.MatchString(after) {
		asked = after
	}
	q.After = min(cmp.Or(asked, now), now) // a later one is of a history that was lost, or of a clock that was ahead
	place, err := s.placeToTell(r.Context(), q, asked)
	if err != nil {
		return err
	}
	q.Limit = eventsPerRead
	w.Header().Set("Content-Type", eventStreamType)
	w.Header().Set("X-Accel-Buffering", "no") // a proxy that collects events would delay them
	if r.Method == http.MethodHead {
		return nil
	}
	who := s.visitorOf(r)
	if err := s.admit(who); err != nil {
		return err
	}
	defer s.viewers.GiveBack(who.Name)
	limitSendBuffer(r.Context())
	f := follower{events: s.settings.Events, query: q, send: sender(w, s.settings.WriteTimeout)}
	if f.send(fmt.Appendf(nil, streamGreeting, place)) {
		f.run(r)
	}
	return nil
}

// placeToTell is where a stream begins. Who may not see every camera and asked for no place gets the time: the id of the newest event
// would tell when something happened at the others.
func (s *Server) placeToTell(ctx context.Context, q history.Query, asked string) (string, error) {
	if q.Among == nil {
		return q.After, nil
	}
	if asked != "" {
		return asked, nil
	}
	return s.settings.Events.Since(ctx, time.Now(), q.Among)
}

// sender writes at once, or tells that the reader has not taken it in time.
func sender(w http.ResponseWriter, within time.Duration) func([]byte) bool {
	connection := http.NewResponseController(w)
	return func(text []byte) bool {
		if connection.SetWriteDeadline(time.Now().Add(within)) != nil {
			return false
		}
		_, err := w.Write(text)
		return err == nil && connection.Flush() == nil
	}
}

// follower is one open stream of events.
type follower struct {
	events Events
	query  history.Query
	send   func([]byte) bool
}

// run reads and sends until the reader or the server goes.
func (f *follower) run(r *http.Request) {
	quiet := time.NewTicker(heartbeatEvery)
	defer quiet.Stop()
	for {
		changed := f.events.Changed() // asked first, so that nothing comes in between unnoticed
		page, err := f.events.Read(r.Context(), f.query)
		if err != nil {
			return // the reader comes back, with its place
		}
		if len(page.Entries) > 0 && !f.send(serverSent(page)) {
			return
		}
		f.query.After = max(f.query.After, page.Seen) // what this reader does not want is not looked at again
		if page.More {
			continue
		}
		select {
		case <-r.Context().Done():
			return
		case <-changed:
		case <-quiet.C:
			if !f.send([]byte(heartbeat)) {
				return
			}
		}
	}
}

// serverSent writes a page as a browser's EventSource reads it. JSON holds no newline.
func serverSent(page history.Page) (text []byte) {
	for _, e := range page.Entries {
		text = append(text, "id: "+e.ID+"\ndata: "...)
		text = append(append(text, e.JSON...), "\n\n"...)
	}
	return text
}
