// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"bufio"
	"errors"
	"net"
)

const (
	packetMost      = 1 << 17 // holds the longest topic there can be and more than any payload that is obeyed
	lengthBytesMost = 4
	continues       = 0x80
)

var errLength = errors.New("the broker sends a length that MQTT does not know")

// shortened is a connection that keeps clients from filling our memory: paho reads each message whole, and a message may have 256 MiB.
// What of one is too long is read and thrown away; for paho it ends before, and is refused as too long all the same.
type shortened struct {
	net.Conn
	in   *bufio.Reader
	head []byte // of a packet, not passed on yet
	pass int    // bytes of the packet to pass on after it
	skip int    // bytes to throw away after these
}

func shorten(connection net.Conn) *shortened {
	return &shortened{Conn: connection, in: bufio.NewReader(connection)}
}

// Read implements net.Conn.
func (s *shortened) Read(into []byte) (int, error) {
	if len(s.head) == 0 && s.pass == 0 {
		if err := s.begin(); err != nil {
			return 0, err
		}
	}
	if len(s.head) > 0 {
		n := copy(into, s.head)
		s.head = s.head[n:]
		return n, nil
	}
	n, err := s.in.Read(into[:min(len(into), s.pass)])
	s.pass -= n
	return n, err
}

// begin gets to the next packet and reads how long it is.
func (s *shortened) begin() error {
	thrown, err := s.in.Discard(s.skip)
	s.skip -= thrown
	if err != nil {
		return err
	}
	kind, err := s.in.ReadByte()
	if err != nil {
		return err
	}
	length, err := s.length()
	if err != nil {
		return err
	}
	s.pass = min(length, packetMost)
	s.skip = length - s.pass
	s.head = appendLength([]byte{kind}, s.pass)
	return nil
}

// length reads seven bits in each byte, the lowest first.
func (s *shortened) length() (length int, err error) {
	for i := range lengthBytesMost {
		next, err := s.in.ReadByte()
		if err != nil {
			return 0, err
		}
		length |= int(next&^continues) << (7 * i)
		if next&continues == 0 {
			return length, nil
		}
	}
	return 0, errLength
}

func appendLength(to []byte, length int) []byte {
	for length >= continues {
		to = append(to, byte(length%continues|continues))
		length /= continues
	}
	return append(to, byte(length))
}
