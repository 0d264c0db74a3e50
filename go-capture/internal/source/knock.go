// SPDX-License-Identifier: Apache-2.0

package source

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"regexp"
	"time"
)

var errSilent = errors.New("it takes the connection and says nothing")

// rtspPorts are those that FFmpeg takes where an address names none.
var rtspPorts = map[string]string{"rtsp": "554", "rtsps": "322"}

// zoned is an address up to the zone of its link-local host, which FFmpeg takes as it is and URLs escape.
var zoned = regexp.MustCompile(`^[a-z]+://(?:[^/?#]*@)?\[[0-9A-Fa-f:.]+%`)

// knock fails when nothing answers at the address of a network camera. FFmpeg would wait for that as well, but in its turn, and so keep
// the others waiting. What the answer is does not matter here, so no login is sent.
func knock(ctx context.Context, uri string, limit time.Duration) error {
	address, err := url.Parse(zoned.ReplaceAllString(uri, "${0}25"))
	if err != nil || address.Scheme == "rtsps" && os.Getenv("http_proxy") != "" { // FFmpeg goes through the proxy
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errSilent)
	defer cancel()
	host := net.JoinHostPort(address.Hostname(), cmp.Or(address.Port(), rtspPorts[address.Scheme]))
	connection, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return always(err)
	}
	defer context.AfterFunc(ctx, func() { _ = connection.Close() })() // ends what waits
	defer connection.Close()
	if address.Scheme == "rtsps" {
		err = greet(ctx, connection)
	} else {
		err = ask(connection, host, address.EscapedPath())
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil // it refused: FFmpeg finds out more
}

// always is what an error says at each try. Its own words may hold the port that we had by chance, so that each would be news in the log.
func always(err error) error {
	var name *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		return fmt.Errorf("the name %q is not found", name.Name)
	case errors.As(err, &name):
		return fmt.Errorf("the server that knows names does not answer for %q", name.Name)
	case errors.As(err, &op):
		return fmt.Errorf("%s: %w", op.Op, innermost(op.Err))
	}
	return err
}

func innermost(err error) error {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err
}

// greet believes any certificate, as FFmpeg does. Go's newest curve would make the first message longer than a packet, for the rest of
// which some cameras do not wait.
func greet(ctx context.Context, connection net.Conn) error {
	old := []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384}
	return tls.Client(connection, &tls.Config{InsecureSkipVerify: true, CurvePreferences: old}).HandshakeContext(ctx)
}

// ask sends what FFmpeg begins with.
func ask(connection net.Conn, host, path string) error {
	if _, err := fmt.Fprintf(connection, "OPTIONS rtsp://%s%s RTSP/1.0\r\nCSeq: 1\r\n\r\n", host, path); err != nil {
		return err
	}
	_, err := connection.Read(make([]byte, 1))
	return err
}
