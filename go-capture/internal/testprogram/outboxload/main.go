// SPDX-License-Identifier: Apache-2.0

// Command outboxload feeds an outbox with numbered events and publishes them to a broker, for tests that kill it.
//
// It prints {"ready":true} once the outbox is open, then reads commands, one a line, and answers each with a line of JSON:
//
//	append FROM TO CHUNK   appends the events and syncs after each CHUNK, saying {"synced":N} each time
//	pour FROM TO           appends the events as fast as it can and says how long the slowest Append took
//	connect [N]            publishes from now on; with N the process kills itself when it has published so many
//	drain                  says {"delivered":N} for each event that waits, in order; "ok" acknowledges one, "done" follows the last
//	stats                  says outbox.Stats
//	quit                   closes the outbox and ends
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"visavis/capture/internal/outbox"
)

const cameras = 5

type load struct {
	outbox    *outbox.Outbox
	broker    string
	topic     string
	answers   *json.Encoder
	untilKill int    // how many events are still published before the process kills itself
	stop      func() // ends the publisher; nil while there is none
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "outboxload:", err)
		os.Exit(1)
	}
}

func run() error {
	var s outbox.Settings
	flag.StringVar(&s.Folder, "folder", "", "the outbox's folder")
	flag.Int64Var(&s.MostBytes, "most-bytes", 0, "byte cap, 0 = default")
	flag.IntVar(&s.MemoryBytes, "memory-bytes", 0, "memory cap, 0 = default")
	broker := flag.String("broker", "", "host:port of a broker")
	topic := flag.String("topic", "visavis/load/events", "topic of the events")
	serial := flag.String("serial", "", "a serial line to talk over, instead of stdin and stdout")
	flag.Parse()
	in, out := os.Stdin, os.Stdout
	if *serial != "" {
		line, err := openSerial(*serial)
		if err != nil {
			return err
		}
		in, out = line, line
	}
	opened, err := outbox.Open(s)
	if err != nil {
		return err
	}
	l := &load{outbox: opened, broker: *broker, topic: *topic, answers: json.NewEncoder(out)}
	return errors.Join(l.serve(in), l.end())
}

func (l *load) end() error {
	if l.stop != nil {
		l.stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return l.outbox.Close(ctx)
}

func (l *load) serve(from io.Reader) error {
	if err := l.answers.Encode(map[string]bool{"ready": true}); err != nil {
		return err
	}
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		if lines.Text() == "quit" {
			return nil
		}
		answer, err := l.command(lines.Text(), lines)
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		if err := l.answers.Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (l *load) command(line string, more *bufio.Scanner) (answer any, err error) {
	var from, to, chunk int
	switch name, words, _ := strings.Cut(line, " "); name {
	case "append":
		if _, err := fmt.Sscan(words, &from, &to, &chunk); err != nil {
			return nil, err
		}
		return map[string]int{"appended": to}, l.append(from, to, chunk)
	case "pour":
		if _, err := fmt.Sscan(words, &from, &to); err != nil {
			return nil, err
		}
		slowest, err := l.pour(from, to)
		return map[string]int64{"slowest_us": slowest.Microseconds()}, err
	case "connect":
		killAt, err := number(words)
		if err != nil {
			return nil, err
		}
		l.stop = l.publish(killAt)
		return map[string]bool{"publishing": true}, nil
	case "drain":
		return map[string]bool{"drained": true}, l.drain(more)
	case "stats":
		return struct {
			outbox.Stats
			Fault string
		}{l.outbox.Stats(), l.outbox.Fault()}, nil
	}
	return nil, fmt.Errorf("unknown command %q", line)
}

// number is the one in a command's words, 0 when it has none.
func number(words string) (int, error) {
	if words == "" {
		return 0, nil
	}
	return strconv.Atoi(words)
}

// event is about as long as a real one.
func event(n int) []byte {
	return fmt.Appendf(nil, `{"schema":1,"id":"01JD%022d","n":%d,"camera":"c%d","type":"appeared","device":"load","track":%d,`+
		`"started_at":"2026-11-24T20:00:00.123Z","dwell_ms":1234,"best":{"box":[412.0,80.5,96.2,121.7],"score":0.97,"frame":%d}}`,
		n, n, n%cameras, n/7, n*3)
}

func (l *load) append(from, to, chunk int) error {
	for n := from; n <= to; n++ {
		if err := l.outbox.Append(l.topic, event(n)); err != nil {
			return err
		}
		if n%chunk != 0 && n != to {
			continue
		}
		if err := l.outbox.Sync(context.Background()); err != nil {
			return err
		}
		if err := l.answers.Encode(map[string]int{"synced": n}); err != nil {
			return err
		}
	}
	return nil
}

func (l *load) pour(from, to int) (slowest time.Duration, err error) {
	for n := from; n <= to; n++ {
		began := time.Now()
		if err := l.outbox.Append(l.topic, event(n)); err != nil {
			return 0, err
		}
		slowest = max(slowest, time.Since(began))
	}
	return slowest, nil
}
