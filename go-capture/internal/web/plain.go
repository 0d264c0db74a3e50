// SPDX-License-Identifier: Apache-2.0

package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"visavis/capture/internal/problem"
)

// plainListener is beneath the encryption. Who asks in HTTP, as a browser does for an address without https://, is told where the page is.
type plainListener struct {
	net.Listener
	server *Server
}

// Accept implements net.Listener.
func (l plainListener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &maybePlain{Conn: connection, server: l.server}, nil
}

// maybePlain is a connection of which the first byte tells whether it is encrypted.
type maybePlain struct {
	net.Conn
	server *Server
	begun  bool
}

// plainBodyMost is how much of a body is taken after its answer, within the time for a handshake.
const plainBodyMost = 64 << 20

// errPlain ends the handshake of a connection that has its answer.
var errPlain = errors.New("the client speaks HTTP without TLS")

// NetConn is what is beneath, as that of a tls.Conn.
func (c *maybePlain) NetConn() net.Conn { return c.Conn }

// Read implements net.Conn. A request in HTTP is read and answered within: the time for a handshake is set already.
func (c *maybePlain) Read(into []byte) (int, error) {
	n, err := c.Conn.Read(into)
	if c.begun || n == 0 {
		return n, err
	}
	c.begun = true
	if method := into[0]; method < 'A' || method > 'Z' { // no record of TLS begins so
		return n, err
	}
	c.server.answerPlain(c.Conn, into[:n])
	return 0, errPlain
}

func (s *Server) answerPlain(connection net.Conn, begun []byte) {
	said := &io.LimitedReader{R: io.MultiReader(bytes.NewReader(begun), connection), N: maxHeaderBytes}
	asked, err := http.ReadRequest(bufio.NewReader(said))
	if err != nil {
		_ = notEncrypted().Write(connection) // nobody is left to tell
		return
	}
	answer := notEncrypted()
	if page := s.encryptedPage(connection, asked); page != "" {
		answer = movedTo(page)
	}
	answer.Request = asked
	_ = answer.Write(connection) // nobody is left to tell
	said.N = plainBodyMost
	_, _ = io.Copy(io.Discard, asked.Body) // what is not read when the connection is closed takes the answer along
}

// encryptedPage is what the client wants to see, by the name that it knows; "" where there is nothing to see, that is no name of the device,
// or a proxy asks: its clients would be sent to where they come from, for ever.
func (s *Server) encryptedPage(connection net.Conn, asked *http.Request) string {
	looks := asked.Method == http.MethodGet || asked.Method == http.MethodHead
	here := asked.WithContext(context.WithValue(context.Background(), http.LocalAddrContextKey, connection.LocalAddr()))
	if !looks || !s.hostAllowed(here, asked.Host) || s.isByProxy(connection, asked) {
		return ""
	}
	_, port, err := net.SplitHostPort(asked.Host)
	if err != nil {
		port = "80" // which nobody writes
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return ""
	}
	page := url.URL{Scheme: "https", Host: net.JoinHostPort(bareHost(asked.Host), port), Path: asked.URL.Path, RawPath: asked.URL.RawPath,
		RawQuery: asked.URL.RawQuery}
	return page.String()
}

// isByProxy also knows one that web.proxies does not name, by what it adds.
func (s *Server) isByProxy(connection net.Conn, asked *http.Request) bool {
	for _, added := range []string{forwardedFor, forwardedHost, forwardedProto, "Forwarded", "Via"} {
		if asked.Header.Get(added) != "" {
			return true
		}
	}
	return s.settings.Proxies.Made(connection.RemoteAddr().String())
}

// movedTo is for now: whoever keeps it would not find a page that is no longer encrypted.
func movedTo(page string) *http.Response {
	answer := plainAnswer(http.StatusTemporaryRedirect, "text/plain; charset=utf-8", "The page is at "+page+"\n")
	answer.Header.Set("Location", page)
	return answer
}

func notEncrypted() *http.Response {
	body, err := json.Marshal(problem.Problem{Type: problem.Blank, Title: "This address begins with https://", Status: http.StatusBadRequest,
		Detail: "The request came over http. Write https:// in front of the address; a proxy in front of the device has to speak https to it."})
	if err != nil {
		panic(err) // of texts
	}
	return plainAnswer(http.StatusBadRequest, problem.ContentType, string(body)+"\n")
}

func plainAnswer(code int, kind, body string) *http.Response {
	answer := &http.Response{StatusCode: code, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {kind}, "Cache-Control": {"no-store"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Close: true}
	secure(answer.Header)
	return answer
}
