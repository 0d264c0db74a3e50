// SPDX-License-Identifier: Apache-2.0

// Command barehttp is net/http and nothing else: it answers as another server does, byte for byte, from memory and without a look at the
// request. `make bench-gateway` compares a server with it: what that takes beyond this is its own, the rest is net/http's.
package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "barehttp:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	flags := flag.NewFlagSet("barehttp", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "address and port")
	like := flags.String("like", "", "`URL` of the server whose answers it gives")
	paths := flags.String("paths", "/healthz", "which answers, with commas between them")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	answers := http.NewServeMux()
	for path := range strings.SplitSeq(*paths, ",") {
		one, err := answerOf(*like + path)
		if err != nil {
			return err
		}
		answers.Handle(path, one)
	}
	return http.ListenAndServe(*listen, answers)
}

// answer is what another server has answered.
type answer struct {
	header http.Header
	body   []byte
}

func answerOf(url string) (answer, error) {
	got, err := http.Get(url)
	if err != nil {
		return answer{}, err
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	if err == nil && got.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s is answered with %s", url, got.Status)
	}
	got.Header.Del("Date") // net/http writes the time itself
	return answer{got.Header, body}, err
}

// ServeHTTP implements http.Handler.
func (a answer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	header := w.Header()
	for name, values := range a.header {
		header[name] = values
	}
	_, _ = w.Write(a.body) // the client has gone: nobody is left to tell
}
