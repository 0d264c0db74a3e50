// SPDX-License-Identifier: Apache-2.0

package web

import (
	"net/http"
	"testing"
)

// BenchmarkCheapRequest is what the site adds to a small answer, without the connection that it goes through.
func BenchmarkCheapRequest(b *testing.B) {
	server, err := New(Settings{Listen: "127.0.0.1:0", Device: "box", Version: "1"}, oneCamera{})
	if err != nil {
		b.Fatal(err)
	}
	site := server.Handler()
	for _, path := range []string{"/healthz", "/api/v1/status"} {
		b.Run(path[1:], func(b *testing.B) {
			asked := request(path)
			asked.Host = "127.0.0.1:8080"
			b.ReportAllocs()
			for range b.N {
				site.ServeHTTP(&unread{header: http.Header{}}, asked)
			}
		})
	}
}

func TestASmallAnswerTakesFewPiecesOfMemory(t *testing.T) {
	server, err := New(Settings{Listen: "127.0.0.1:0", Device: "box", Version: "1"}, oneCamera{})
	if err != nil {
		t.Fatal(err)
	}
	site, asked := server.Handler(), request("/healthz")
	asked.Host = "127.0.0.1:8080"
	const most = 7 // of which the map that holds the answer's headers takes two
	if pieces := testing.AllocsPerRun(100, func() { site.ServeHTTP(&unread{header: http.Header{}}, asked) }); pieces > most {
		t.Errorf("an answer takes %v pieces of memory, want at most %d", pieces, most)
	}
}

// unread is an answer that nobody reads.
type unread struct{ header http.Header }

func (u *unread) Header() http.Header            { return u.header }
func (u *unread) Write(text []byte) (int, error) { return len(text), nil }
func (u *unread) WriteHeader(int)                {}
