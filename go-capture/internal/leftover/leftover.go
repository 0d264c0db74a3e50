// SPDX-License-Identifier: Apache-2.0

// Package leftover takes what a client still sends when it has been answered. Most clients read only after they have sent everything: one
// whose large picture is refused before it has come would see a broken connection instead of the reason.
package leftover

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	pauseMost = time.Second // without a byte of it
	bytesMost = 64 << 20
	stepBytes = 8 << 10
)

// Taken serves with next, and then takes the rest of the body for at most so long. Over HTTP/2 nothing is to be taken: there a server says
// by a frame of its own that it wants no more.
func Taken(next http.Handler, most time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body == http.NoBody || r.ProtoMajor > 1 {
			next.ServeHTTP(w, r)
			return
		}
		sent := &body{ReadCloser: r.Body}
		r = r.WithContext(r.Context()) // net/http looks at the body of its own
		r.Body = sent
		answer := &answer{ResponseWriter: w, sent: sent}
		next.ServeHTTP(answer, r)
		if !answer.early || sent.ended {
			return
		}
		connection := http.NewResponseController(w)
		_ = connection.Flush()
		if !drained(connection, sent, most) {
			cut(connection)
		}
	})
}

// body knows whether all of it was read.
type body struct {
	io.ReadCloser
	ended bool
}

// Read notes the end.
func (b *body) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	b.ended = b.ended || errors.Is(err, io.EOF)
	return n, err
}

// answer goes out while the body comes, if a client can tell where it ends. With any other, net/http takes up to a quarter of a megabyte of
// the body before it.
type answer struct {
	http.ResponseWriter
	sent         *body
	begun, early bool
}

func (a *answer) WriteHeader(status int) {
	a.begin()
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(part []byte) (int, error) {
	a.begin()
	return a.ResponseWriter.Write(part)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) begin() {
	if a.begun {
		return
	}
	a.begun = true
	if !a.sent.ended && a.Header().Get("Content-Length") != "" {
		a.early = http.NewResponseController(a.ResponseWriter).EnableFullDuplex() == nil
	}
}

// drained takes the rest of a body; false when it stays away, takes too long or is too much.
func drained(connection *http.ResponseController, rest io.Reader, most time.Duration) bool {
	end, step := time.Now().Add(most), make([]byte, stepBytes)
	for taken := 0; taken < bytesMost; {
		soon := time.Now().Add(pauseMost)
		if soon.After(end) {
			soon = end
		}
		if connection.SetReadDeadline(soon) != nil {
			return true // a connection without deadlines is none that can be slow
		}
		n, err := rest.Read(step)
		if err != nil {
			return errors.Is(err, io.EOF)
		}
		taken += n
	}
	return false
}

// cut ends a connection over which more of a body may come: as long as both ways are open at once, net/http would take that for the next
// request.
func cut(connection *http.ResponseController) {
	if socket, _, err := connection.Hijack(); err == nil {
		_ = socket.Close() // the answer is out, and nothing else is promised
	}
}
