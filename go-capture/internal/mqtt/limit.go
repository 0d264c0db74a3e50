// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"fmt"
	"time"
)

const (
	limitEnds = 2                // of connections in a row, each at a large message: chance may end one
	limitRest = 10 * time.Minute // until one of such a size is tried again
)

// sizeLimit learns which messages a broker, or the line to it, does not take: pictures, or what Home Assistant is told of a device with
// many cameras. MQTT 3.1.1 has no word for that: a broker hangs up, and would do so for ever at what is due again with each connection.
// Large ones go one at a time, so that it is known which it was.
type sizeLimit struct {
	way   saying // the one that is on its way; its number is 0 if none is
	ends  int    // of connections in a row that had one on its way
	bytes int    // of the smallest of these
	topic string // of the last
	until time.Time
}

// holds tells that a message has to wait. No broker refuses one that fits into a piece.
func (l *sizeLimit) holds(bytes int, now time.Time) bool {
	return bytes > pieceBytes && (l.way.number != 0 || bytes >= l.bytes && now.Before(l.until))
}

// note tells whether it matters that this one arrives.
func (l *sizeLimit) note(said saying) bool {
	large := len(said.payload) > pieceBytes
	if large {
		l.way = said
	}
	return large
}

func (l *sizeLimit) arrived(said saying) {
	switch {
	case l.way.number != said.number:
	case len(said.payload) >= l.bytes:
		*l = sizeLimit{}
	default:
		l.way = saying{}
	}
}

// unknown gives up to learn whether this one arrives.
func (l *sizeLimit) unknown(said saying) {
	if l.way.number == said.number {
		l.way = saying{}
	}
}

// over notes the end of a connection.
func (l *sizeLimit) over(now time.Time) {
	if l.way.number == 0 {
		return
	}
	bytes := len(l.way.payload)
	if l.ends == 0 || bytes < l.bytes {
		l.bytes = bytes
	}
	l.ends++
	l.topic, l.way = l.way.topic, saying{}
	if l.ends >= limitEnds {
		l.until = now.Add(limitRest)
	}
}

// refusal is what is not sent now, and what helps.
func (l *sizeLimit) refusal(now time.Time) error {
	if !now.Before(l.until) {
		return nil
	}
	remedy := "set mqtt.discovery = \"component\""
	if isPicture(l.topic) {
		remedy = "set snapshots = false for the camera"
	}
	return fmt.Errorf("connections ended %d times in a row at a message of %d KB or more, the last at %s; such ones are tried again in ten "+
		"minutes: let the broker take larger packets (mosquitto: max_packet_size), or %s", l.ends, l.bytes>>10, l.topic, remedy)
}

// arrived notes a message that the broker has read.
func (s *states) arrived(said saying) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit.arrived(said)
}

// unknown notes one of which nothing will be heard, although the connection stays.
func (s *states) unknown(said saying) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limit.unknown(said)
}

func (s *states) refusal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limit.refusal(time.Now())
}
