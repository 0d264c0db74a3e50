// SPDX-License-Identifier: Apache-2.0

package clientnet

import (
	"bytes"
	"errors"
	"net"

	"github.com/pires/go-proxyproto"
)

// headers are how one of the PROXY protocol begins. proxyproto takes PROXY alone for one and then ends the connection, but PROXY is also
// a method that anybody may send through a balancer for HTTP.
var headers = [][]byte{[]byte("PROXY TCP4 "), []byte("PROXY TCP6 "), []byte("PROXY UNKNOWN"), proxyproto.SIGV2}

// Introduced is the address of a connection whose proxy has said in the PROXY protocol whose it is, be it the proxy's own. Who does that
// passes TCP on, with all that clients write: behind it no header is believed.
type Introduced struct{ net.Addr }

// passedOn is a proxy's connection as proxyproto may read it: it sees a header or that there is none, and what came instead is read later.
type passedOn struct {
	net.Conn
	begun      bool
	held       []byte                    // came instead of a header
	told       func(remote string) error // may be nil
	introduced bool
}

// RemoteAddr implements net.Conn; proxyproto asks for it where no header has told of another client.
func (p *passedOn) RemoteAddr() net.Addr {
	if p.introduced {
		return Introduced{p.Conn.RemoteAddr()}
	}
	return p.Conn.RemoteAddr()
}

// Read implements net.Conn. Only the first one looks for a header; it needs room for the longest beginning.
func (p *passedOn) Read(into []byte) (int, error) {
	if !p.begun {
		p.begun = true
		return p.readHeader(into)
	}
	if len(p.held) == 0 {
		return p.Conn.Read(into)
	}
	n := copy(into, p.held)
	p.held = p.held[n:]
	return n, nil
}

func (p *passedOn) readHeader(into []byte) (int, error) {
	for n := 0; ; {
		got, err := p.Conn.Read(into[n:])
		n += got
		whole, may := beginsHeader(into[:n])
		if whole {
			return n, err
		}
		if err == nil && !may {
			err = proxyproto.ErrNoProxyProtocol
		}
		if err != nil {
			p.held = bytes.Clone(into[:n])
			return 0, err
		}
	}
}

// beginsHeader tells whether a header begins so, and whether one may with what is still to come.
func beginsHeader(read []byte) (whole, may bool) {
	for _, header := range headers {
		whole = whole || bytes.HasPrefix(read, header)
		may = may || bytes.HasPrefix(header, read)
	}
	return whole, may
}

// introduce takes note of a header. It refuses one that tells of a client without an address of TCP: proxyproto would give the connection
// none at all.
func (p *passedOn) introduce(header *proxyproto.Header) error {
	p.introduced = true
	if !header.Command.IsProxy() {
		return nil
	}
	if _, known := header.SourceAddr.(*net.TCPAddr); !known {
		return errors.New("one in web.proxies speaks for a client that did not come over TCP; let it tell the client's address, or send LOCAL")
	}
	header.SourceAddr = Introduced{header.SourceAddr}
	if p.told == nil {
		return nil
	}
	return p.told(header.SourceAddr.String())
}
