// SPDX-License-Identifier: Apache-2.0

// Command gatewayload is many clients of one HTTP server on this machine, for `make bench-gateway`. It prints one JSON object.
//
//	closed   so many connections, each with one request under way; Retry-After is honoured
//	open     requests at a rate, whatever the answers take
//	viewers  so many readers of a live picture (multipart/x-mixed-replace)
//
// With -probe, closed also asks a cheap address on a connection of its own and says how long that took.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"
)

// settings are the command line.
type settings struct {
	url, file, contentType string
	body                   []byte
	connections            int
	perSecond              float64
	span                   time.Duration // how long requests are begun
	grace                  time.Duration // how long afterwards answers are still waited for
	warmUp                 time.Duration // of viewers: not counted
	deadline               time.Duration // of an answer that is of use
	probe                  string
	probePause             time.Duration
}

func main() {
	answer, err := run(os.Args[1:])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(answer)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gatewayload:", err)
		os.Exit(1)
	}
}

func run(arguments []string) (any, error) {
	if len(arguments) == 0 {
		return nil, errors.New("say closed, open or viewers")
	}
	s, err := read(arguments[1:])
	if err != nil {
		return nil, err
	}
	switch arguments[0] {
	case "closed":
		return closedLoop(context.Background(), s), nil
	case "open":
		return openLoop(context.Background(), s), nil
	case "viewers":
		return watch(context.Background(), s)
	}
	return nil, fmt.Errorf("%q is none of closed, open, viewers", arguments[0])
}

func read(arguments []string) (settings, error) {
	var s settings
	flags := flag.NewFlagSet("gatewayload", flag.ContinueOnError)
	flags.StringVar(&s.url, "url", "", "what is asked; on loopback")
	flags.StringVar(&s.file, "body", "", "file to POST; without it GET")
	flags.StringVar(&s.contentType, "type", "image/jpeg", "Content-Type of the body")
	flags.IntVar(&s.connections, "connections", 1, "closed: clients; viewers: viewers")
	flags.Float64Var(&s.perSecond, "rate", 0, "open: requests a second")
	flags.DurationVar(&s.span, "span", 5*time.Second, "how long requests are begun")
	flags.DurationVar(&s.grace, "grace", 5*time.Second, "how long afterwards answers are still waited for")
	flags.DurationVar(&s.deadline, "deadline", 250*time.Millisecond, "until which an answer counts as timely")
	flags.DurationVar(&s.warmUp, "warm-up", time.Second, "viewers: not counted")
	flags.StringVar(&s.probe, "probe", "", "closed: a cheap address that is asked meanwhile")
	flags.DurationVar(&s.probePause, "probe-pause", 5*time.Millisecond, "between two probes")
	if err := flags.Parse(arguments); err != nil {
		return s, err
	}
	if s.file != "" {
		body, err := os.ReadFile(s.file)
		if err != nil {
			return s, err
		}
		s.body = body
	}
	return s, errors.Join(requireLoopback(s.url), requireLoopback(s.probe))
}

// requireLoopback keeps the load on this machine.
func requireLoopback(address string) error {
	if address == "" {
		return nil
	}
	parsed, err := url.Parse(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(parsed.Hostname()); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%s is not on loopback, and nothing else is loaded", address)
	}
	return nil
}
